"""Losses: those of the shipped networks, and one file for each paper's."""
