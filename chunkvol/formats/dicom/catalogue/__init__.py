"""What a folder holds: its images, the volumes that they make, and their listing."""
