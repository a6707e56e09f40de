"""What a file says: its elements, read from the first kilobytes."""
