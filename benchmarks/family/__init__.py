"""What was tried for the real-time family: candidates of about the same milliseconds, trained alike."""
