"""A bounded channel between two threads: back-pressure, an end, and a way to call everything off."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class CancelledError(Exception):
    """The run was called off: whoever waits on a channel leaves."""


class Channel(Generic[T]):
    """Hands items from one thread to another, in order; at most `capacity` wait inside."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False

    def put(self, item: T) -> None:
        """Waits for room and hands `item` over; raises CancelledError once cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
            if self._cancelled:
                raise CancelledError
            self._items.append(item)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many items are inside now."""
        return len(self._items)

    def finish(self) -> None:
        """No more items come; the consumer gets those already here and then the end."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drops what is here and wakes both sides with CancelledError; a second call does nothing."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or bool(self._items) or self._finished)
            if self._cancelled:
                raise CancelledError
            if not self._items:
                raise StopIteration
            item = self._items.popleft()
            self._changed.notify_all()
            return item
