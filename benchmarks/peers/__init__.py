"""Networks that others published, with their own weights, as judges of rain that we make."""
