"""The clean background of a rainy video of a still scene (Wang et al. 2019, section 3)."""
