"""What FFmpeg logs when a card's codec fails, which says more than the error's number."""

from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

from derain.pipeline.sources.probe import reason

Logs = list[tuple[int, str, str]]


@contextmanager
def listening() -> Iterator[Logs]:
    """Collects the errors that FFmpeg logs in this thread meanwhile; without it, it logs nothing."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs:
            yield logs
    finally:
        av.logging.set_level(before)


def told(error: Exception, logs: Logs) -> str:
    """The first thing that was logged, on one line; the error's own words where nothing was."""
    return first_of(logs) or reason(error)


def first_of(logs: Logs) -> str:
    """The first thing that was logged, on one line; "" where nothing was."""
    words = " ".join(logs[0][2].split()) if logs else ""
    return words[:1].lower() + words[1:] if words[1:2].islower() else words
