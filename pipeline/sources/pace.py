"""Keeps what could be read at once to its own time."""

import threading
import time
from fractions import Fraction

LATE, AHEAD = 1.0, 5.0
"""Seconds: what is later than the first, or jumps ahead by more than the second, is the beginning anew."""


class Pace:
    """Waits until a time stamp is due."""

    def __init__(self) -> None:
        self._start: float | None = None

    def wait(self, stamp: Fraction, over: threading.Event) -> float:
        """Returns when `stamp`, in seconds, is due, or `over` is set; the seconds that it was waited for."""
        now, seconds = time.monotonic(), float(stamp)
        if self._start is None or not -LATE < self._start + seconds - now < AHEAD:
            self._start = now - seconds
        left = self._start + seconds - now
        if left > 0:
            over.wait(left)
        return max(0.0, left)
