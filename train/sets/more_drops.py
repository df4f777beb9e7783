"""More raindrops on pairs that have some: for a network that struggles where there are many."""

from collections.abc import Sequence

import numpy as np

from derain.engines.errors import UsageError
from derain.train.degradations import raindrops
from derain.train.degradations.rain import Map, Picture, Rainy, compared
from derain.train.patches import Batch, tensors
from derain.train.sets.crops import PatchOptions
from derain.train.sets.layouts import Pair
from derain.train.sets.loader import PairPatches


def with_drops(rng: np.random.Generator, rainy: Picture, clean: Picture, style: str | None = None) -> Rainy:
    """`rainy` (H, W, 3) in 0..1 through one more wet lens, drawn from `rng`; its marks are against `clean`.

    `style`: one of raindrops.STYLES, None for any of them.
    """
    height, width = rainy.shape[:2]
    lens = raindrops.sample(rng, height, width, style)
    return compared(raindrops.apply(rainy, lens).image, clean)


class MoreDrops(PairPatches):
    """PairPatches, a share `chance` of them with more drops. The squares are the same whatever the chance."""

    def __init__(
        self, pairs: Sequence[Pair], options: PatchOptions, first_step: int = 0, chance: float = 0.5
    ) -> None:
        super().__init__(pairs, options, first_step)
        if not 0 <= chance <= 1:
            raise UsageError(f"the chance of more drops is from 0 to 1, not {chance:g}")
        self.chance = chance

    def sample(self, index: int) -> Batch:
        rng = np.random.default_rng([self.crops.options.seed, index])
        rainy, clean, attention = self.crops.draw(rng)
        return tensors(*self.wetter(rng, rainy, clean, attention))

    def wetter(
        self, rng: np.random.Generator, rainy: Picture, clean: Picture, attention: Map
    ) -> tuple[Picture, Picture, Map]:
        """The patch with more drops, or as it is."""
        if rng.uniform() >= self.chance:
            return rainy, clean, attention
        made = with_drops(rng, rainy, clean)
        return made.image, clean, made.attention
