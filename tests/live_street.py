"""Cameras and the thread that restores in one clock: what would take minutes takes as long as its frames."""

import threading
from collections.abc import Callable, Sequence

from live_fakes import Clock, FakeCamera, slow_engine

from derain.engines.engine import Engine, Pixels
from derain.pipeline.bypass import Watch
from derain.pipeline.live.camera import Camera
from derain.pipeline.live.contract import Contract, Move, Step
from derain.pipeline.live.scheduler import Scheduler
from derain.pipeline.live.seam import Shown
from derain.pipeline.live.workshop import Network, Workshop

NO_WATCH = Watch(False, None, "")


class Street:
    """`cameras` at `rates`, restored by an engine that takes `seconds(batch)`; or by `engines` of a test."""

    def __init__(
        self,
        cameras: Sequence[FakeCamera],
        rates: Sequence[float],
        seconds: Callable[[Pixels], float] = lambda batch: 0.0,
        *,
        budget: float | None = None,
        steps: Sequence[Step] = (Step(),),
        engines: Sequence[Engine] = (),
    ) -> None:
        self.clock, self.sources, self.rates = Clock(), cameras, rates
        news = threading.Condition()
        self.cameras = [Camera(source, news, budget=budget, clock=self.clock) for source in cameras]
        self.engines = list(engines) or [slow_engine(self.clock, seconds)]
        workshop = Workshop([Network(engine, NO_WATCH) for engine in self.engines], len(cameras))
        for source, camera in zip(cameras, self.cameras, strict=True):
            camera.make = workshop.make
            source.start(camera.give)
        names = [source.name for source in cameras]
        contract = None if budget is None else Contract(budget, steps, names, self.clock())
        self.shown: list[Shown] = []
        self.moves: list[tuple[float, Move]] = []
        self.scheduler = Scheduler(
            self.cameras,
            workshop,
            self.shown.append,
            news,
            contract=contract,
            steps=steps,
            tell=lambda move: self.moves.append((self.clock(), move)),
            clock=self.clock,
        )
        self.due = [self.clock()] * len(cameras)
        self.clock.passed = self._send

    def run(self, seconds: float) -> None:
        """So many seconds pass; cameras whose rate is 0 are dead."""
        until = self.clock() + seconds
        while self.clock() < until:
            self._send()
            if not self.scheduler.turn():
                coming = [due for due, rate in zip(self.due, self.rates, strict=True) if rate]
                self.clock.now = min([until, *coming])

    def _send(self) -> None:
        """What has come by now, while the engine works too."""
        for number, source in enumerate(self.sources):
            while self.rates[number] and self.due[number] <= self.clock():
                due = self.due[number]
                self.due[number] += 1 / self.rates[number]
                source.send(due)

    def latencies(self, name: str, since: float = 0.0) -> list[tuple[float, float]]:
        """(when, seconds) of what was handed over."""
        return [
            (shown.handed, shown.handed - shown.taken.arrived)
            for shown in self.shown
            if shown.camera == name and shown.handed >= since
        ]

    def longest_over(self, name: str, budget: float) -> float:
        """The longest time without a frame within `budget`, in seconds, from the first late frame on."""
        longest, began = 0.0, None
        for when, latency in self.latencies(name):
            if latency <= budget:
                began = None
            else:
                began = when - latency + budget if began is None else began
                longest = max(longest, when - began)
        return longest
