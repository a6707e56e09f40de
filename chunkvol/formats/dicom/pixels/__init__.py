"""What a file holds: how its pixels are stored, decoded and read."""
