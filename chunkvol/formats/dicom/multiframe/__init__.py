"""Files of many frames, taken apart into one header a frame."""
