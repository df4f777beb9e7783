"""Paired sets on disk: their layouts, what is wrong with them, scenes they share, patches of them."""
