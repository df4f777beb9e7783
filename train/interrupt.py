"""Ctrl-C while a network trains: the step that was begun is finished: a checkpoint holds whole ones."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Those the program ends by as by Ctrl-C; Windows has no SIGHUP."""


class Interruption:
    """Whether somebody has `asked` for the end; asked again, KeyboardInterrupt is raised at once."""

    asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def held_back() -> Iterator[Interruption]:
    """Signals that would raise KeyboardInterrupt ask for the end instead, the first time."""
    found = Interruption()
    with handled(found, only=signal.default_int_handler):
        yield found


@contextmanager
def unheard() -> Iterator[None]:
    """Processes started in here never hear of Ctrl-C, which a terminal tells all of a group: the one that
    started them ends them."""
    with handled(signal.SIG_IGN, names=("SIGINT",)):
        yield


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], Any] | signal.Handlers,
    names: tuple[str, ...] = SIGNALS,
    only: Callable[..., Any] | None = None,
) -> Iterator[None]:
    """The signals go to `handler`; only those that went to `only`, where it is given. Nothing changes in a
    thread, where no signal arrives."""
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {n: signal.getsignal(n) for n in numbers if only is None or signal.getsignal(n) is only}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
