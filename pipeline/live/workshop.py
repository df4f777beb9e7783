"""The networks of a run, and who restores with them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from weakref import WeakSet

import numpy as np

from derain.engines.engine import Engine
from derain.pipeline.bypass import Watch
from derain.pipeline.live.contract import Step
from derain.pipeline.live.together import Together
from derain.pipeline.live.treatment import Treatment
from derain.pipeline.shortage import Spare, no_spare
from derain.pipeline.tiling import TilePlan

TOGETHER = 0.03
"""Seconds that a batch may take at most: frames that take long keep the engine busy one by one, and none
should wait for those beside it."""
LOOKS_AT_NOTHING = Watch(False, None, "")


@dataclass(frozen=True)
class Network:
    """An engine that is open, and who looks for rain for it. `spare`: goes on where its memory is short."""

    engine: Engine
    watch: Watch
    spare: Spare = no_spare


class Workshop:
    """Makes treatments for `cameras` cameras. `networks`: the one asked for first, then smaller ones.

    It is what a relay hands the first one's place on to. One thread at a time.
    """

    def __init__(self, networks: Sequence[Network], cameras: int) -> None:
        self._networks = tuple(networks)
        self._shared = [Together(network.engine, cameras) for network in networks]
        self._treatments: WeakSet[Treatment] = WeakSet()
        self._warmed: set[tuple[int, float, int, int, int]] = set()
        self._known: set[tuple[int, float, int, int, int]] = set()

    def make(self, step: Step, rate: Fraction | None) -> Treatment:
        """What a camera's frames get on a step, `rate` of them a second."""
        network, shared = self._networks[step.model], self._shared[step.model]
        every = None if rate is None else rate / step.every
        treatment = Treatment(shared, network.watch, step.scale, every, network.spare)
        if step.model == 0:
            self._treatments.add(treatment)
        return treatment

    def together(self, step: Step, size: Sequence[int], alike: int, waiting: int) -> int:
        """How many of the frames of a size (height, width) that are `waiting` go together on a step, where
        `alike` cameras give such."""
        if step.passes:
            return 1
        height, width = (max(1, round(side * step.scale)) for side in size)
        numbers = self._shared[step.model].together(height * width, alike)
        return next(number for number in numbers if number <= waiting)

    def warm(self, steps: Sequence[Step], height: int, width: int, alike: int) -> None:
        """Lets the engines compile for frames of that size, on all those steps, those of the first step last,
        as an engine may not keep all; and for several together, where `alike` cameras give such."""
        for step in reversed(steps):
            if step.passes:
                continue
            count = self.together(step, (height, width), alike, waiting=alike)
            place = (step.model, step.scale, height, width, count)
            if place not in self._warmed:
                self._warmed.add(place)
                self._warm(step, height, width, count)

    def knows(self, step: Step, size: tuple[int, int], count: int) -> bool:
        """Whether the engine had `count` frames of that size (height, width) on a step; else it compiles."""
        return step.passes or (step.model, step.scale, *size, count) in self._known

    def learn(self, step: Step, size: tuple[int, int], count: int) -> None:
        """The engine has had so many."""
        self._known.add((step.model, step.scale, *size, count))

    def _warm(self, step: Step, height: int, width: int, count: int) -> None:
        """One frame alone, and `count` together where that many will go together."""
        picture = np.zeros((height, width, 3), np.uint8)
        treatments = [Treatment(self._shared[step.model], LOOKS_AT_NOTHING, step.scale) for _ in range(count)]
        for treatment in treatments:
            began = time.monotonic()
            treatment.finish(treatment.begin(picture, 1.0))  # each makes its buffers; the first compiles
        self.learn(step, (height, width), 1)
        if 1 < count <= TOGETHER / max(time.monotonic() - began, 1e-6):
            for begun in [treatment.begin(picture, 1.0) for treatment in treatments]:
                begun.treatment.finish(begun)
            self.learn(step, (height, width), count)

    @property
    def engine(self) -> Engine:
        """That of the first network."""
        return self._shared[0].engine

    @property
    def plan(self) -> TilePlan | None:
        """How a frame of the first network is cut; None before there was one."""
        plans = (treatment.restorer.plan for treatment in self._treatments)
        return next((plan for plan in plans if plan is not None), None)

    def exchange(self, engine: Engine) -> None:
        """`engine` goes on as the first network, with all that is remembered; nothing is in flight."""
        shared = self._shared[0]
        shared.take(engine)
        self._known.clear()
        for treatment in self._treatments:
            if treatment.restorer.engine is shared:  # it is another one where memory ran short
                treatment.restorer.exchange(shared)
