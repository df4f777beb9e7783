"""How fast and how good: speed and quality measured."""
