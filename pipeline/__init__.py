"""Frames in, restored frames out: sources, tiling, the restoring thread, sinks and the command line."""
