"""A source, sinks and restorers that need no file, no codec and no network, to watch the runner with."""

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.frame import Frame
from derain.pipeline.source import StreamInfo

Hook = Callable[[int], None]


def nothing(_: int) -> None:
    """A hook that does nothing."""


class FakeSource:
    """Yields `frames` tiny frames, grey at their number modulo 256; `hook(n)` runs before frame n."""

    def __init__(self, frames: int, hook: Hook = nothing, shortfall: str | None = None) -> None:
        self.info = StreamInfo(width=8, height=4, time_base=Fraction(1, 1000), frames=frames)
        self.live = False
        self.held = 0
        self.shortfall = shortfall
        self.threads: set[str] = set()
        self._hook = hook

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.info.frames or 0):
            self.threads.add(threading.current_thread().name)
            self._hook(number)
            pixels = np.full((4, 8, 3), number % 256, np.uint8)
            yield Frame(pixels, pts=number * 40, time_base=self.info.time_base)

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FakeSink:
    """Remembers what it was told: `state` is "open", "closed", "kept" or "discarded"."""

    def __init__(self, hook: Hook = nothing, partial: Path | None = None, remember: bool = True) -> None:
        self.state = "open"
        self.count = 0
        self.frames: list[Frame] = []
        self.closing: Callable[[], None] = lambda: None
        self.keeping: Callable[[], None] = lambda: None
        self._hook, self._partial, self._remember = hook, partial, remember

    def write(self, frame: Frame) -> None:
        """Takes a frame."""
        self._hook(self.count)
        self.count += 1
        if self._remember:
            self.frames.append(frame)

    def close(self) -> None:
        """Publishes."""
        if self.state == "open":
            self.closing()
            self.state = "closed"

    def keep_partial(self) -> Path | None:
        """Keeps a file at `partial`, where one was named."""
        self.keeping()
        self.state = "kept"
        if self._partial is not None:
            self._partial.write_bytes(b"partial")
        return self._partial

    def discard(self) -> None:
        """Drops everything unless closed or kept."""
        if self.state == "open":
            self.state = "discarded"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()


def negative(pixels: Pixels) -> Pixels:
    """A restorer whose work shows."""
    return 255 - pixels
