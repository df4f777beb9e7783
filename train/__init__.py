"""Makes the weights: degradations, networks, trainer, export and evaluation."""
