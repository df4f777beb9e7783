"""Snow: short white line segments, Eigen 2013's first control (section 6); here they sink and drift.

No recipe trains on it: a network that takes away rain should leave snow alone, or say that it does not.
"""

from dataclasses import dataclass

import numpy as np

from derain.train.degradations.falling import Layer, light
from derain.train.degradations.rain import Picture, Rainy, compared

LAYERS = 3
"""Depths, from far and small to near and large."""


@dataclass(frozen=True)
class Snow:
    """`layers`: segments by depth; `seed`: of their places; `exposure` in seconds, in which each sinks by its
    length; `white`: the flakes' grey (0..1)."""

    layers: tuple[Layer, ...]
    seed: int
    exposure: float
    white: float


def sample(rng: np.random.Generator, height: int, width: int) -> Snow:
    """Draws a fall of snow for pictures of that size in pixels."""
    scale = max(1.0, min(height, width) / 480)
    wind, dense, size = rng.uniform(-30, 30), rng.uniform(0.01, 0.05), rng.uniform(0.6, 1.2)
    return Snow(
        layers=tuple(flakes(rng, wind, dense, size * scale * (1 + depth)) for depth in range(LAYERS)),
        seed=int(rng.integers(2**32)),
        exposure=rng.uniform(1 / 60, 1 / 20),
        white=rng.uniform(0.85, 1.0),
    )


def flakes(rng: np.random.Generator, wind: float, dense: float, size: float) -> Layer:
    """Segments of one depth, about twice as long as wide, that stray far from the wind's direction."""
    return Layer(
        angle=wind + rng.uniform(-8, 8),
        length=size * rng.uniform(2, 4),
        width=size,
        coverage=dense,
        brightness=rng.uniform(0.8, 1.0),
        flatness=4.0,
        jitter=12.0,
        variety=0.3,
        spread=0.3,
    )


def apply(clean: Picture, params: Snow, time: float = 0.0) -> Rainy:
    """Snow at `time` seconds over `clean`, (H, W, 3) display-referred RGB float32 in 0..1."""
    still = np.zeros(clean.shape[:2], np.float32)
    cover = still
    for number, layer in enumerate(params.layers):
        fallen = light(layer, [params.seed, number], time / params.exposure, still)
        cover = cover + fallen * (1 - cover)
    return compared(clean + cover[..., None] * (np.float32(params.white) - clean), clean)
