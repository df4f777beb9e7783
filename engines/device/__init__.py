"""A device's memory, streams and events behind one seam: `seam.py` says what implementations keep to."""
