"""From the images of one volume to a regular stack of planes, one decision a file."""
