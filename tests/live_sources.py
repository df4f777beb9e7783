"""Looks at what a live source gives, for tests that wait for what happens rather than for time to pass."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psutil

from derain.pipeline.live.address import parse_address
from derain.pipeline.live.opening import SourceOptions, open_live
from derain.pipeline.live.seam import LiveSource, Packet, State, Taken

LONG = 60.0
"""Seconds after which a test gives up; nothing but that hangs on it, as machines that run tests are busy."""
STOPS = 2.0
"""Seconds within which `stop` returns, as promised."""
SLACK = 0.5
QUICK: dict[str, Any] = {
    "open_timeout": 20.0,
    "read_timeout": 10.0,
    "stall": 5.0,
    "frozen": 0.0,
    "retry_first": 0.1,
    "retry_from": 0.2,
    "retry_most": 0.4,
    "retry_refused": 0.2,
    "seed": 1,
}
"""Options with which nothing waits long, and nothing is given up because the machine is busy."""


@dataclass
class Eye:
    """Keeps what a source gave. `states`: what it was seen to be like."""

    source: LiveSource
    frames: list[Taken] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)

    def until(self, happened: Callable[[], bool]) -> None:
        """Returns when it has; fails where it does not."""
        end = time.monotonic() + LONG
        while not happened():
            source = self.source
            assert time.monotonic() < end, (source.state, source.said, source.counts, len(self.frames))
            time.sleep(0.01)

    def state(self, state: State) -> None:
        """Waits for a state."""
        self.until(lambda: self.source.state is state)

    def more(self, count: int = 1) -> None:
        """Waits for further frames."""
        least = len(self.frames) + count
        self.until(lambda: len(self.frames) >= least)

    def epoch(self, epoch: int) -> None:
        """Waits for a frame of a connection."""
        self.until(lambda: bool(self.frames) and self.frames[-1].epoch >= epoch)

    def stop(self) -> None:
        """Stops it, as quickly as promised, and nothing comes after."""
        began = time.monotonic()
        self.source.stop()
        assert time.monotonic() - began < STOPS + SLACK
        count = len(self.frames)
        assert self.source.state is State.ENDED
        time.sleep(0.05)
        assert len(self.frames) == count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.stop()


@contextmanager
def watched(address: str, packets: bool = False, **options: Any) -> Iterator[Eye]:
    """A source that runs, with QUICK options but for those named; stopped in time, with no process left."""
    source = open_live(parse_address(address), "cam", SourceOptions(**{**QUICK, **options}))
    eye = Eye(source)
    source.start(eye.frames.append, eye.packets.append if packets else None)
    with eye:
        yield eye
        eye.stop()
    assert not readers(os.getpid())


def readers(parent: int) -> list[int]:
    """The processes that read for a process."""
    found = []
    for child in psutil.Process(parent).children():
        with suppress(psutil.Error):
            if "derain.pipeline.sources.reader" in child.cmdline():
                found.append(child.pid)
    return found
