"""What goes wrong, in one sentence that names the value it got and the values it takes."""


class DerainError(Exception):
    """The work failed; the message is one sentence for the user (exit code 1)."""

    exit_code = 1


class UsageError(DerainError):
    """The user asked for something impossible, found before any work started (exit code 2)."""

    exit_code = 2


class MemoryShortError(DerainError):
    """The backend could not get the memory it needed; less at a time (smaller tiles) may work."""
