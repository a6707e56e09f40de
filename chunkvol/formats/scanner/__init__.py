"""Files that micro-CT scanners write beside their volumes, and the volumes they describe.

`facts` reads the texts and knows nothing of slices, so that stacks of slices may ask it; `opening` knows stacks.
"""
