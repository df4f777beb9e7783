"""The commands of making data, training and export."""
