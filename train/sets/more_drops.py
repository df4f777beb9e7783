"""More raindrops on pairs that have some: for a network that struggles where there are many."""

import numpy as np

from derain.train.degradations import raindrops
from derain.train.degradations.rain import Picture, Rainy, compared


def with_drops(rng: np.random.Generator, rainy: Picture, clean: Picture, style: str | None = None) -> Rainy:
    """`rainy` (H, W, 3) in 0..1 through one more wet lens, drawn from `rng`; its marks are against `clean`.

    `style`: one of raindrops.STYLES, None for any of them.
    """
    height, width = rainy.shape[:2]
    lens = raindrops.sample(rng, height, width, style)
    return compared(raindrops.apply(rainy, lens).image, clean)
