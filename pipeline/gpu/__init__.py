"""Video on an NVIDIA card: decoded there, turned to RGB and back there, encoded there; docs/gpu.md."""
