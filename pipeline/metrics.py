"""What a run measures while it goes: stage times, counts, frames a second; in memory that never grows."""

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

STAGES = ("decode", "restore", "encode")
_SHORTEST = 1e-6
_STEP = math.log(1.02)
_BUCKETS = 1200
"""Buckets each 2 % wider than the one before, from a microsecond to six hours."""


class Histogram:
    """Durations in seconds, counted in logarithmic buckets: percentiles within 1 %, memory fixed.

    One thread records while any thread reads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0

    def record(self, seconds: float) -> None:
        """Counts one duration."""
        bucket = int(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _STEP)
        with self._lock:
            self._counts[min(bucket, _BUCKETS - 1)] += 1
            self.count += 1
            self.total += seconds

    def percentile(self, percent: float) -> float:
        """Seconds that `percent` (0..100) of the durations recorded do not exceed; 0 where none was."""
        with self._lock:
            wanted = max(1, math.ceil(self.count * percent / 100))
            seen = 0
            for bucket, count in enumerate(self._counts):
                seen += count
                if seen >= wanted:
                    return _SHORTEST * math.exp((bucket + 0.5) * _STEP)
        return 0.0

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Records how long the block took; a block that raises is not counted."""
        began = time.perf_counter()
        yield
        self.record(time.perf_counter() - began)

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Iterates `items`, recording how long each took to come."""
        iterator = iter(items)
        while True:
            began = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self.record(time.perf_counter() - began)
            yield item


@dataclass(frozen=True)
class StageTimes:
    """One stage so far: frames through it, and seconds a frame. `waited`: seconds it stood waiting in all."""

    frames: int
    p50: float
    p99: float
    worked: float
    waited: float


class StageMeter:
    """`work`: seconds at work on each frame; `wait`: seconds waiting for the neighbours, kept apart."""

    def __init__(self) -> None:
        self.work = Histogram()
        self.wait = Histogram()

    def times(self) -> StageTimes:
        """The stage so far."""
        work = self.work
        return StageTimes(work.count, work.percentile(50), work.percentile(99), work.total, self.wait.total)


@dataclass(frozen=True)
class Rain:
    """What was seen of the rain so far, in scores from 0, none, to 1.

    `score`: of the last frame that was looked at, by `judge`: "network", "glance", "" where none was.
    `tile_scores`: of its tiles, row by row, empty where it was whole. `mean`, `greatest`: of all frames the
    network looked at. `frames`: that came, and of them `bypassed`: that the network did not run on. `tiles`:
    of all frames that it ran on in several, and of them `skipped`: that were not computed.
    """

    score: float | None = None
    judge: str = ""
    tile_scores: tuple[float, ...] = ()
    mean: float | None = None
    greatest: float | None = None
    frames: int = 0
    bypassed: int = 0
    tiles: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Change:
    """From `frame` on, counted from 0, `backend` restores in `precision`, in place of `before`.

    Where `before` is "", it goes on although another was to take its place. `reason`: why.
    """

    frame: int
    backend: str
    precision: str
    before: str
    reason: str

    def line(self) -> str:
        """One line for people."""
        engine = f"{self.backend} {self.precision}"
        if self.before:
            return f"from frame {self.frame} on {engine} restores in place of {self.before}: {self.reason}"
        return f"{engine} goes on restoring at frame {self.frame}: {self.reason}"


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment.

    `frames`: written so far. `expected`: in all, None where unknown. `held`: corrupt ones replaced by the
    last good one. `seconds` since the start. `fps`: lately. `eta`: seconds to go, None where unknown.
    `rain`: None where nothing looks for it. `engines`: how the engine changed so far.
    """

    frames: int
    expected: int | None
    held: int
    seconds: float
    fps: float
    eta: float | None
    stages: dict[str, StageTimes]
    rain: Rain | None = None
    engines: tuple[Change, ...] = ()


class Metrics:
    """The meters of one run. `latency`: seconds from decoded to written."""

    def __init__(self, expected: int | None = None) -> None:
        self.expected = expected
        self.stages = {name: StageMeter() for name in STAGES}
        self.latency = Histogram()
        self.interval = Histogram()
        self._began = time.perf_counter()
        self._written_at = self._began
        self._recent: deque[tuple[float, int]] = deque([(0.0, 0)], maxlen=64)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._began

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self.latency.count

    def written(self, decoded_at: float) -> None:
        """Counts a frame as written; `decoded_at` is the perf_counter() of its decoding."""
        now = time.perf_counter()
        self.latency.record(now - decoded_at)
        self.interval.record(now - self._written_at)
        self._written_at = now

    def times(self) -> dict[str, StageTimes]:
        """The stages so far, in their order."""
        return {name: meter.times() for name, meter in self.stages.items()}

    def snapshot(self, held: int = 0, rain: Rain | None = None, engines: tuple[Change, ...] = ()) -> Snapshot:
        """The run now; its `fps` is that since some 64 snapshots ago."""
        seconds, frames = self.seconds, self.frames
        self._recent.append((seconds, frames))
        since, before = self._recent[0]
        fps = (frames - before) / max(seconds - since, _SHORTEST)
        eta = None
        if self.expected is not None and fps > 0:
            eta = max(0, self.expected - frames) / fps
        return Snapshot(frames, self.expected, held, seconds, fps, eta, self.times(), rain, engines)
