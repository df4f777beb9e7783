"""What `derain evaluate` does: cases to measure, models in turns, figures, and the report they make."""
