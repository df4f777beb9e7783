"""Restoration networks made ready to run: cards, backends and the shipped models."""
