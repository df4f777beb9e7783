"""What a camera's frames took, and how many of them there were, in memory that does not grow."""

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from derain.pipeline.live.seam import BOUNDS, Buckets, Spans

WINDOW = 5.0
"""Seconds that rates and percentiles are of."""
MOST = 1024
"""Frames that are remembered for them at most."""
STAGES = ("wait", "restore", "hand-over")
"""From arrival to the network, in it, and from it to all sinks."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Passage:
    """When a frame was where, in seconds of the clock."""

    arrived: float
    begun: float
    done: float
    handed: float

    @property
    def latency(self) -> float:
        """From arrival to hand-over."""
        return self.handed - self.arrived

    def stages(self) -> dict[str, float]:
        """Seconds in each stage."""
        ends = (self.arrived, self.begun, self.done, self.handed)
        return {name: max(0.0, ends[n + 1] - ends[n]) for n, name in enumerate(STAGES)}


@dataclass(frozen=True)
class Counted:
    """What a meter has to tell; see CameraFigures."""

    camera_fps: float
    restored_fps: float
    restored: int
    dropped: int
    late: int
    passed: int
    latency: Spans
    stages: dict[str, Spans]
    histograms: dict[str, Buckets]


class Histogram:
    """Durations counted by BOUNDS."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total = 0.0

    def record(self, seconds: float) -> None:
        """Counts one."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._total += seconds

    def buckets(self) -> Buckets:
        """All so far, each bucket with those below it."""
        sums, so_far = [], 0
        for count in self._counts:
            so_far += count
            sums.append(so_far)
        return Buckets(tuple(sums), self._total)


class Meter:
    """Of one camera; any thread may call it. `budget`: seconds after which a frame is late, None: never."""

    def __init__(self, budget: float | None = None, clock: Clock = time.monotonic) -> None:
        self._budget, self._clock = budget, clock
        self._lock = threading.Lock()
        self._given: deque[float] = deque(maxlen=MOST)
        self._restorings: deque[float] = deque(maxlen=MOST)
        self._passages: deque[Passage] = deque(maxlen=MOST)
        self._histograms = {name: Histogram() for name in (*STAGES, "latency")}
        self._restored = self._dropped = self._late = self._passed = 0

    def given(self) -> None:
        """The camera gave a frame."""
        with self._lock:
            self._given.append(self._clock())

    def dropped(self) -> None:
        """A frame will not be restored."""
        with self._lock:
            self._dropped += 1

    def handed(self, passage: Passage, passed: bool = False) -> None:
        """A frame was handed over, restored or, `passed`, as it came."""
        with self._lock:
            self._passages.append(passage)
            if passed:
                self._passed += 1
            else:
                self._restored += 1
                self._restorings.append(passage.handed)
            self._late += not passed and self._budget is not None and passage.latency > self._budget
            for name, seconds in {**passage.stages(), "latency": passage.latency}.items():
                self._histograms[name].record(seconds)

    def counted(self) -> Counted:
        """All of it, now."""
        with self._lock:
            now = self._clock()
            lately = [passage for passage in self._passages if passage.handed > now - WINDOW]
            stages = [passage.stages() for passage in lately]
            return Counted(
                camera_fps=rate(self._given, now),
                restored_fps=rate(self._restorings, now),
                restored=self._restored,
                dropped=self._dropped,
                late=self._late,
                passed=self._passed,
                latency=spans(passage.latency for passage in lately),
                stages={name: spans(stage[name] for stage in stages) for name in STAGES},
                histograms={name: one.buckets() for name, one in self._histograms.items()},
            )


def rate(times: Iterable[float], now: float) -> float:
    """How many a second there were in the last WINDOW seconds, or since the first."""
    every = list(times)
    if not every:
        return 0.0
    first, since = every[0], now - WINDOW
    if first > since:  # it has only begun: intervals are counted
        return (len(every) - 1) / (now - first) if now > first else 0.0
    return sum(one > since for one in every) / WINDOW


def spans(durations: Iterable[float]) -> Spans:
    """Their percentiles."""
    ordered = sorted(durations)
    if not ordered:
        return Spans()
    p50, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95, 0.99))
    return Spans(len(ordered), p50, p95, p99)


def in_ms(spans: Spans) -> dict[str, float]:
    """Percentiles in ms."""
    return {f"p{share}_ms": getattr(spans, f"p{share}") * 1e3 for share in (50, 95, 99)}
