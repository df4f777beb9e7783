"""Plans (what TensorRT makes of a network for one card) and the cache they are kept in: docs/gpu.md."""
