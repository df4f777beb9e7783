"""Decoded frames on their way from one process to another, through memory that both have.

There are four places: for the frames that the other side has yet to take over (two at most), for the newest
after them, and for the one that is being written. A newer frame takes the place of the newest: nothing piles
up, and nobody waits, unless that is asked for.

The memory has no name that could be left behind: it is gone when nobody has it any more.
"""

import mmap
import os
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.sources.telling import Facts, Filled

PLACES = 4
AHEAD = 2
"""Frames that are told of and not yet taken over."""
PAGE = 4096


def new_memory() -> int:
    """The descriptor of memory without a size yet; -1 where the system shares by name."""
    if sys.platform == "win32":
        return -1
    if hasattr(os, "memfd_create"):
        return os.memfd_create("derain-frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Memory:
    """Shared memory that grows. `descriptor` as of `new_memory`; `name`: where it is -1."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name
        self._map: mmap.mmap | None = None

    def of(self, size: int) -> mmap.mmap:
        """At least `size` bytes of it. Growing may lose what is there."""
        if self._map is None or len(self._map) < size:
            self.close()
            self._map = self._mapped(-(-size // PAGE) * PAGE)
        return self._map

    def _mapped(self, size: int) -> mmap.mmap:
        if sys.platform == "win32":
            return mmap.mmap(-1, size, tagname=f"{self._name}-{size}")
        if os.fstat(self._descriptor).st_size < size:
            os.ftruncate(self._descriptor, size)
        return mmap.mmap(self._descriptor, size)

    def close(self) -> None:
        """Gives up this process's view of it; a second call does nothing."""
        if self._map is not None:
            self._map.close()
            self._map = None


def look(memory: Memory, filled: Filled) -> Pixels:
    """A copy of the frame that `filled` tells of."""
    view = np.frombuffer(memory.of(filled.size), filled.dtype, int(np.prod(filled.shape)), filled.at)
    return np.array(view.reshape(filled.shape))


class Handing:
    """The side that writes. `tell`: how the other side is told of a frame. `waits`: for a place, rather than
    that a frame is left out."""

    def __init__(self, memory: Memory, tell: Callable[[Filled], None], waits: bool = False) -> None:
        self._memory, self._tell, self._waits = memory, tell, waits
        self._ahead: deque[Filled] = deque()
        self._newest: Filled | None = None
        self._place = 0
        self._changed = threading.Condition()

    def give(self, pixels: Pixels, facts: Facts) -> None:
        """Hands a frame over, or keeps it as the newest. One thread calls this."""
        if pixels.nbytes > self._place:
            self._grow(pixels.nbytes)
        with self._changed:
            while self._waits and self._newest is not None:
                self._changed.wait()
            at = self._free()
        size = PLACES * self._place
        view = np.frombuffer(self._memory.of(size), pixels.dtype, pixels.size, at).reshape(pixels.shape)
        np.copyto(view, pixels)
        filled = Filled(at, size, pixels.shape, pixels.dtype.str, facts)
        with self._changed:
            self._newest = filled
            self._pass_on()

    def taken_over(self) -> None:
        """The other side has copied the oldest frame it was told of. Another thread calls this."""
        with self._changed:
            self._ahead.popleft()
            self._pass_on()
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Waits until all frames are taken over; False where that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._ahead, seconds)

    def _pass_on(self) -> None:
        if self._newest is not None and len(self._ahead) < AHEAD:
            self._ahead.append(self._newest)
            self._newest = None
            self._tell(self._ahead[-1])

    def _free(self) -> int:
        used = {filled.at for filled in self._ahead}
        if self._newest is not None:
            used.add(self._newest.at)
        return next(at for at in range(0, PLACES * self._place, self._place) if at not in used)

    def _grow(self, least: int) -> None:
        """Larger places, once nobody looks at the smaller ones any more."""
        with self._changed:
            self._newest = None
            while self._ahead:
                self._changed.wait()
        self._place = -(-least // PAGE) * PAGE
        self._memory.of(PLACES * self._place)
