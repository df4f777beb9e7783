"""Live video: cameras and streams restored as they come, shown and passed on."""
