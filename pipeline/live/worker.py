"""A thread of a live run that is waited for, but not for ever."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

STEP = 0.1
"""Seconds of one wait."""


class Worker(threading.Thread):
    """A thread whose error is kept in `error`; `ended` is waited for in place of `join`, see runner."""

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        super().__init__(name=f"derain-{name}", daemon=True)
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self._body = body

    def run(self) -> None:
        with self:
            self._body()

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        self.ended.set()
        return True

    def ends(self, until: float) -> bool:
        """Whether it is gone `until` then, of time.monotonic(). It waits in short steps, so that Ctrl-C is
        heard whichever thread the system tells of it."""
        while not self.ended.is_set() and (left := until - time.monotonic()) > 0:
            self.ended.wait(min(left, STEP))
        return self.ended.is_set()
