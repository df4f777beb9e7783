"""The published systems under one budget: trained alike, measured on the same held-out pictures."""
