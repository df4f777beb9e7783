"""What a run leaves beside its checkpoints."""
