"""Compressed streams of voxels: made by many workers as one member, and read from their start."""
