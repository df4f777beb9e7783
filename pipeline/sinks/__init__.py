"""Where restored frames go, one file a kind."""
