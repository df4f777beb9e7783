"""Tiles without rain are not computed: which they are, by the glance, and by the network where it ran."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.glance import Glance, Lessons, Levels, Which
from derain.pipeline.rain import core_of, is_dry, score_of, tile_scores
from derain.pipeline.restore import Restorer, Skip
from derain.pipeline.tiling import TilePlan

SETTLE = 12
"""So many frames in a row must the network find a tile dry before it is skipped."""
AROUND = 1
"""Cells of the glance around a tile's core that must be dry with it."""


class DryTiles:
    """Which tiles of one source's frames are skipped.

    Those that the network found dry SETTLE times in a row, as long as the glance finds each dry; where it
    does not, the network is asked. All are computed in every `every`-th frame.
    """

    def __init__(self, glance: Glance, every: int) -> None:
        self._glance, self._every = glance, every
        self._lessons = Lessons(glance)
        self.reset()

    def reset(self) -> None:
        """What comes next does not follow what came."""
        self._plan: TilePlan | None = None
        self._dry = np.zeros(0, np.int64)
        self._lessons.forget()

    def of(self, pixels: Pixels) -> Skip:
        """Says of the tiles of `pixels` (H, W, 3) which to skip; looks at them only once it is asked."""
        return partial(self._look, pixels)

    def heard(self, restorer: Restorer) -> None:
        """Takes in what the network said of the tiles that it computed just now."""
        if self._plan is None or self._plan is not restorer.plan:
            return
        card = restorer.engine.card
        dry = np.array([is_dry(score, card) for score in tile_scores(restorer)])
        self._dry = np.where(self._skipped, self._dry, np.where(dry, self._dry + 1, 0))
        self._lessons.learn(self._levels, dry, ~self._skipped)

    def _look(self, pixels: Pixels, plan: TilePlan) -> Sequence[bool]:
        if plan is not self._plan:
            self.reset()
            self._plan, self._age = plan, 0
            self._dry = np.zeros(len(plan.tiles), np.int64)
        cells, scale = self._glance(pixels), self._glance.scale
        levels = [score_of(core_of(cells, scale, tile, AROUND), scale) for tile in plan.tiles]
        self._levels: Levels = np.array(levels)
        self._age += 1
        settled = (self._dry >= SETTLE) & (self._age % self._every != 0)
        self._skipped: Which = settled & self._lessons.are_dry(self._levels)
        return [bool(skipped) for skipped in self._skipped]
