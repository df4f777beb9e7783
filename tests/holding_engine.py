"""An engine that holds the states of its network, as one on a device does; they lie in host memory here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from derain.engines.engine import Engine, Pixels, Scores, State, States
from derain.engines.errors import MemoryShortError


class HoldingEngine:
    """`engine`, with `hold`. `most`: pixels a side that it has memory for. `room`: whether to hold anything.

    `opened`, `closed`: how many states were asked for and let go. `given`: calls that brought states along.
    """

    def __init__(self, engine: Engine, most: int = 1000, room: bool = True) -> None:
        self._engine, self.most, self.room = engine, most, room
        self.opened = self.closed = self.given = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def hold(self, count: int, height: int, width: int) -> "HeldHere":
        if not self.room:
            raise MemoryShortError("no room for states")
        self.opened += 1
        shapes = [spec.shape(count, height, width) for spec in self._engine.states]
        return HeldHere(
            self, [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]
        )

    def infer(
        self, batch: Pixels, out: Pixels | None = None, states: States = (), scores: Scores | None = None
    ) -> Pixels:
        self.given += bool(states)
        return self.compute(batch, out, states, scores)

    def compute(self, batch: Pixels, out: Pixels | None, states: States, scores: Scores | None) -> Pixels:
        if max(batch.shape[1:3]) > self.most:
            raise MemoryShortError("the memory is gone")
        return self._engine.infer(batch, out, states, scores)


class HeldHere:
    def __init__(self, engine: HoldingEngine, pairs: list[tuple[State, State]]) -> None:
        self._engine, self._pairs, self._open = engine, pairs, True

    def infer(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Pixels:
        assert self._open
        return self._engine.compute(batch, out, self._pairs, scores)

    def turn(self) -> None:
        self._pairs = [(written, read) for read, written in self._pairs]

    def reset(self) -> None:
        for read, _ in self._pairs:
            read.fill(0)

    def read(self) -> list[State]:
        assert self._open
        return [read.copy() for read, _ in self._pairs]

    def write(self, states: Sequence[State]) -> None:
        assert self._open
        for (read, _), state in zip(self._pairs, states, strict=True):
            read[...] = state

    def close(self) -> None:
        self._engine.closed += self._open
        self._open = False
