"""Frames that were started and are waited for later: what the runner hands on when their turn has come."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from derain.engines.engine import Pixels
from derain.engines.flight import Ticket


@runtime_checkable
class Starter(Protocol):
    """A restorer that takes frames before it has given those before them. One thread at a time.

    Tickets are waited for in the order of their starts.
    """

    @property
    def in_flight(self) -> int:
        """How many frames may be started before the first is waited for; 1 where that gains nothing."""
        ...

    def start(self, pixels: Pixels) -> Ticket:
        """Begins to restore `pixels`, which stay as they are until the ticket was waited for."""
        ...


class Landing:
    """A ticket of work that `finish` brings to its end, the first time that somebody waits."""

    def __init__(self, finish: Callable[[], Pixels]) -> None:
        self._finish = finish
        self._given: Pixels | None = None

    def wait(self) -> Pixels:
        """What `finish` gave."""
        if self._given is None:
            self._given = self._finish()
        return self._given
