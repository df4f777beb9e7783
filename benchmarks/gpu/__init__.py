"""`derain bench gpu`: what an NVIDIA card does, measured by one command in under eight minutes."""
