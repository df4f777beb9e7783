"""Tiles without rain are not computed: which they are, by the glance, and by the network where it ran."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels
from derain.pipeline import glance as first_stage
from derain.pipeline import rain
from derain.pipeline.glance import Glance
from derain.pipeline.rain import core_of, score_of, tile_scores
from derain.pipeline.restore import Restorer, Skip
from derain.pipeline.tiling import TilePlan

SETTLE = 12
"""So many frames in a row must a tile be dry before it is skipped."""
AROUND = 1
"""Cells of the glance around a tile's core that must be dry with it."""


class DryTiles:
    """The tiles of one source's frames that are dry, and have been for SETTLE frames.

    Both must find a tile dry, the glance in every frame and the network in each that it computes the tile of;
    it computes all tiles of every `every`-th frame.
    """

    def __init__(self, glance: Glance, every: int) -> None:
        self._glance, self._every = glance, every
        self.reset()

    def reset(self) -> None:
        """What comes next does not follow what came."""
        self._plan: TilePlan | None = None

    def of(self, pixels: Pixels) -> Skip:
        """Says of the tiles of `pixels` (H, W, 3) which to skip; looks at them only once it is asked."""
        return partial(self._look, pixels)

    def heard(self, restorer: Restorer) -> None:
        """Takes in what the network said of the tiles that it computed just now."""
        if self._plan is not None and self._plan is restorer.plan:
            self._dry[np.array(tile_scores(restorer)) >= rain.DRY] = 0

    def _look(self, pixels: Pixels, plan: TilePlan) -> Sequence[bool]:
        if plan is not self._plan:
            self._plan, self._age = plan, 0
            self._dry: npt.NDArray[np.int64] = np.zeros(len(plan.tiles), np.int64)
        cells, scale = self._glance(pixels), self._glance.scale
        found = [score_of(core_of(cells, scale, tile, AROUND), scale) for tile in plan.tiles]
        self._dry = np.where(np.array(found) < first_stage.DRY, self._dry + 1, 0)
        self._age += 1
        if self._age % self._every == 0:
            return [False] * len(found)
        return [bool(dry) for dry in self._dry > SETTLE]
