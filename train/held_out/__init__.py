"""The project's own held-out set, the same bytes on every run."""
