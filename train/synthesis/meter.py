"""How making rain goes on: the stages' times, told while the work goes on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from derain.pipeline.metrics import Metrics, StageMeter
from derain.pipeline.progress import Teller
from derain.pipeline.runner import Report

STAGES = ("decode", "rain", "encode")


class Meter:
    """Counts pictures made, of `expected` where that is known, and tells `teller` of each."""

    def __init__(self, expected: int | None, teller: Teller) -> None:
        self.metrics = Metrics(expected)
        self.metrics.stages = {name: StageMeter() for name in STAGES}
        self._teller = teller
        self.held = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block as one picture's in one of STAGES."""
        with self.metrics.stages[name].work.measure():
            yield

    def made(self) -> None:
        """One more picture is written."""
        self.metrics.written(time.perf_counter())
        self._teller.update(self.metrics.snapshot(self.held))

    def report(self) -> Report:
        """What was made so far."""
        metrics = self.metrics
        return Report(metrics.frames, self.held, metrics.seconds, metrics.times(), (0.0, 0.0), (0.0, 0.0))
