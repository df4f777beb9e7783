"""Networks, one file a published system."""
