"""What a recurrent network remembers from frame to frame, whole or in tiles."""

from collections.abc import Sequence

import numpy as np

from derain.engines.engine import States
from derain.engines.modelfile import StateSpec
from derain.pipeline.tiling import Tile, TilePlan


class Memory:
    """The states of a network for the frames of one source; of a network that has none, nothing.

    `sequence`: False where each picture stands alone, so that states are always zero and none is kept.
    States are written beside those that are read and take their place when a frame is done (`turn`): tiles
    read what the frame before left around them, and a frame that failed can be tried again.
    """

    def __init__(self, specs: Sequence[StateSpec], sequence: bool) -> None:
        self._specs = specs
        self._sequence = sequence and bool(specs)
        self._size = (0, 0)
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
            self._kept = self._make(1, *plan.padded)

    def take(self, plan: TilePlan, tiles: Sequence[Tile]) -> States:
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

    def keep(self, plan: TilePlan, tiles: Sequence[Tile]) -> None:
        """Remembers what the engine has written for `tiles`."""
        if self._sequence and not plan.whole:
            for spec, (_, whole), (_, parts) in zip(self._specs, self._kept, self._parts, strict=True):
                for tile, part in zip(tiles, parts, strict=True):
                    plan.state_write(part, tile, spec.scale, whole[0])

    def turn(self) -> None:
        """The frame is done: what was written is read for the next."""
        self._kept = [(written, read) for read, written in self._kept]

    def reset(self) -> None:
        """Forgets all frames so far."""
        for read, _ in self._kept:
            read.fill(0)

    def _make(self, count: int, height: int, width: int) -> States:
        shapes = [spec.shape(count, height, width) for spec in self._specs]
        return [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]
