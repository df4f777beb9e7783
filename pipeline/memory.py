"""What a recurrent network remembers from frame to frame, whole or in tiles."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TypeAlias

import numpy as np

from derain.engines.engine import Engine, Pixels, Scores, States
from derain.engines.errors import DerainError, MemoryShortError
from derain.engines.flight import Held, HeldInFlight, Holder, InFlight, Ticket
from derain.pipeline.tiling import Tile, TilePlan

Begin: TypeAlias = Callable[[Pixels, Pixels, Scores | None], Ticket]
"""Begins a batch: what it is restored from, into and, where the engine gives them, its scores."""

log = logging.getLogger(__name__)


class Memory:
    """The states of a network for the frames of one source; of a network that has none, nothing.

    `sequence`: False where each picture stands alone, so that states are always zero and none is kept.
    States are written beside those that are read and take their place when a frame is done (`turn`): tiles
    read what the frame before left around them, and a frame that failed can be tried again. Those of whole
    frames stay with the engine where it can hold them.
    """

    def __init__(self, engine: Engine, sequence: bool) -> None:
        self._engine = engine
        self._specs = engine.states
        self._sequence = sequence and bool(engine.states)
        self._size = (0, 0)
        self._held: Held | None = None
        self._kept: States = ()
        self._parts: States = ()

    @property
    def lasts(self) -> bool:
        """Whether anything is carried from frame to frame."""
        return self._sequence

    def prepare(self, plan: TilePlan) -> None:
        """Makes room for the frames of `plan`: what is remembered stays where only their tiles are others."""
        self._parts = ()
        if self._sequence and self._size != (plan.height, plan.width):
            self._size = (plan.height, plan.width)
            self._begin(plan)
        elif not plan.whole:
            self._fetch()
        elif self._sequence and self._held is None:
            self._lend(plan)

    def exchange(self, engine: Engine) -> None:
        """`engine` goes on with what is remembered; anew where the one before does not give that back."""
        try:
            self._fetch()
        except DerainError as error:
            log.warning("%s begins anew: what it remembered is lost (%s)", engine.card.name, error)
            self._size = (0, 0)
        self._engine = engine

    @property
    def flier(self) -> InFlight | None:
        """The engine, where several frames of the source can be in flight in it. (Asking takes its time.)"""
        engine = self._engine
        held = self._sequence and isinstance(engine, Holder)
        return engine if isinstance(engine, InFlight) and (held or not self._specs) else None

    def starter(self) -> Begin | None:
        """What begins whole frames, one after another; None where each has to be waited for."""
        if self._held is not None:
            return self._held.start if isinstance(self._held, HeldInFlight) else None
        engine = self._engine
        if self._specs or not isinstance(engine, InFlight):
            return None
        return lambda batch, out, scores: engine.start(batch, out, (), scores)

    def infer(
        self, plan: TilePlan, tiles: Sequence[Tile], batch: Pixels, out: Pixels, scores: Scores | None
    ) -> None:
        """Has the engine restore what `tiles` read, with what is remembered of them."""
        if self._held is not None:
            self._held.infer(batch, out, scores)
        else:
            self._engine.infer(batch, out, self._take(plan, tiles), scores)
            self._keep(plan, tiles)

    def _begin(self, plan: TilePlan) -> None:
        """Nothing is remembered of frames of that size."""
        self._let_go()
        self._kept = ()
        if plan.whole and isinstance(self._engine, Holder):
            with suppress(MemoryShortError):  # there is the host's memory
                self._held = self._engine.hold(1, *plan.padded)
                return
        self._kept = self._make(1, *plan.padded)

    def _fetch(self) -> None:
        """Takes what the engine holds to the host's memory."""
        if self._held is not None:
            self._kept = [(state, np.zeros_like(state)) for state in self._held.read()]
            self._let_go()

    def _lend(self, plan: TilePlan) -> None:
        """Gives the engine what is remembered of whole frames, where it can hold that."""
        if isinstance(self._engine, Holder):
            with suppress(MemoryShortError), ExitStack() as stack:  # else it stays in the host's memory
                held = self._engine.hold(1, *plan.padded)
                stack.callback(held.close)
                held.write([read for read, _ in self._kept])
                stack.pop_all()
                self._held, self._kept = held, ()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _take(self, plan: TilePlan, tiles: Sequence[Tile]) -> States:
        """What the engine is called with for `tiles`."""
        if self._sequence and plan.whole:
            return self._kept
        if self._specs and not self._parts:
            self._parts = self._make(len(tiles), *plan.read_shape)
        if self._sequence:
            for spec, (whole, _), (parts, _) in zip(self._specs, self._kept, self._parts, strict=True):
                for tile, part in zip(tiles, parts, strict=True):
                    part[...] = plan.state_read(whole[0], tile, spec.scale)
        return self._parts

    def _keep(self, plan: TilePlan, tiles: Sequence[Tile]) -> None:
        """Remembers what the engine has written for `tiles`."""
        if self._sequence and not plan.whole:
            for spec, (_, whole), (_, parts) in zip(self._specs, self._kept, self._parts, strict=True):
                for tile, part in zip(tiles, parts, strict=True):
                    plan.state_write(part, tile, spec.scale, whole[0])

    def turn(self) -> None:
        """The frame is done: what was written is read for the next."""
        if self._held is not None:
            self._held.turn()
        self._kept = [(written, read) for read, written in self._kept]

    def reset(self) -> None:
        """Forgets all frames so far."""
        if self._held is not None:
            self._held.reset()
        for read, _ in self._kept:
            read.fill(0)

    def _make(self, count: int, height: int, width: int) -> States:
        shapes = [spec.shape(count, height, width) for spec in self._specs]
        return [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]
