"""An engine that takes batches before it has given those before, as one on a device does."""

from collections.abc import Callable
from typing import Any

import numpy as np

from derain.engines.engine import Engine, Pixels, Scores, States
from derain.engines.errors import DerainError, MemoryShortError


class FlyingEngine:
    """`engine`, with `start`: nothing is computed before somebody waits, in the order of the starts.

    `most`: pixels a side that it has memory for, told when a batch is started, or, `late`, when it is waited
    for. `peak`: how many were in flight at a time. `begun`: how many were started.
    """

    def __init__(self, engine: Engine, in_flight: int = 3, most: int = 1000, late: bool = False) -> None:
        self._engine, self.in_flight, self.most, self._late = engine, in_flight, most, late
        self.before: Callable[[int], None] = lambda number: None
        self.flying: list[Flown] = []
        self.peak = self.begun = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(
        self, batch: Pixels, out: Pixels | None = None, states: States = (), scores: Scores | None = None
    ) -> Pixels:
        self.check(batch)
        return self._engine.infer(batch, out, states, scores)

    def start(
        self, batch: Pixels, out: Pixels | None = None, states: States = (), scores: Scores | None = None
    ) -> "Flown":
        assert not states
        if not self._late:
            self.check(batch)
        flown = Flown(self, self.begun, batch.copy(), out, scores)
        self.flying.append(flown)
        self.begun, self.peak = self.begun + 1, max(self.peak, len(self.flying))
        assert self.peak <= self.in_flight
        return flown

    def check(self, batch: Pixels) -> None:
        if max(batch.shape[1:3]) > self.most:
            raise MemoryShortError("the memory is gone")

    def close(self) -> None:
        for flown in self.flying:
            flown.lost = True
        self._engine.close()


class Flown:
    def __init__(
        self, engine: FlyingEngine, number: int, batch: Pixels, out: Pixels | None, scores: Scores | None
    ) -> None:
        self._engine, self._number, self._batch, self._scores = engine, number, batch, scores
        self._out = np.empty_like(batch) if out is None else out
        self.lost = False

    def wait(self) -> Pixels:
        if self.lost:
            raise DerainError("the engine was closed while this was in flight")
        assert self._engine.flying[0] is self, "nobody waits out of turn"
        self._engine.flying.pop(0)
        self._engine.before(self._number)
        return self._engine.infer(self._batch, self._out, (), self._scores)
