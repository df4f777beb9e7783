"""Scratches: random cubic splines, Eigen 2013's second control (section 6). They stay where they are.

No recipe trains on them: they tell whether a network takes away rain or anything thin and bright.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.rain import Picture, Rainy, compared

FINE = 4
"""Bits of a pixel's fraction with which a curve is drawn (1/16 pixel)."""


@dataclass(frozen=True)
class Scratch:
    """A curve through `knots`, (x, y) in shares of the picture's longer side; `width` in pixels; `strength`
    (0..1): how much of the picture it covers; `grey`: of what (0..1)."""

    knots: tuple[tuple[float, float], ...]
    width: int
    strength: float
    grey: float


@dataclass(frozen=True)
class Scratches:
    """All scratches of a pane, the last one on top."""

    scratches: tuple[Scratch, ...]


def sample(rng: np.random.Generator, height: int, width: int) -> Scratches:
    """Draws the scratches of a pane in front of pictures of that size in pixels."""
    reach = width / max(height, width), height / max(height, width)
    thick = max(1.0, min(height, width) / 480)
    return Scratches(tuple(sample_scratch(rng, reach, thick) for _ in range(rng.integers(4, 25))))


def sample_scratch(rng: np.random.Generator, reach: tuple[float, float], thick: float) -> Scratch:
    """One scratch: four to six knots that wander about a straight way from anywhere."""
    count = int(rng.integers(4, 7))
    way, step = rng.uniform(0, 2 * math.pi), rng.uniform(0.03, 0.15)
    start = rng.uniform(0, reach[0]), rng.uniform(0, reach[1])
    turns = way + np.cumsum(rng.normal(0, 0.35, count))
    x = start[0] + np.cumsum(step * np.cos(turns))
    y = start[1] + np.cumsum(step * np.sin(turns))
    return Scratch(
        knots=tuple((float(a), float(b)) for a, b in zip(x, y, strict=True)),
        width=max(1, round(thick * rng.uniform(0.5, 1.8))),
        strength=rng.uniform(0.3, 0.9),
        grey=rng.uniform(0.7, 1.0),
    )


def spline(knots: npt.NDArray[np.float64], pieces: int = 24) -> npt.NDArray[np.float64]:
    """Points (N, 2) of the natural cubic spline through `knots` (K, 2), `pieces` from each to the next.

    Its second derivative is continuous and zero at both ends.
    """
    count = len(knots)
    system = np.eye(count)
    bends = np.zeros_like(knots)
    for i in range(1, count - 1):
        system[i, i - 1 : i + 2] = 1, 4, 1
        bends[i] = 6 * (knots[i - 1] - 2 * knots[i] + knots[i + 1])
    second = np.linalg.solve(system, bends)
    t = np.linspace(0, 1, pieces, endpoint=False)[None, :, None]
    a, b, m, n = (part[:, None] for part in (knots[:-1], knots[1:], second[:-1], second[1:]))
    curve = (1 - t) * a + t * b + ((1 - t) ** 3 - (1 - t)) * m / 6 + (t**3 - t) * n / 6
    return np.concatenate([curve.reshape(-1, 2), knots[-1:]])


def apply(clean: Picture, params: Scratches, time: float = 0.0) -> Rainy:
    """Scratches on `clean`, (H, W, 3) display-referred RGB float32 in 0..1; the same at any time."""
    del time
    image, side = clean, max(clean.shape[:2])
    for scratch in params.scratches:
        drawn = np.zeros(clean.shape[:2], np.uint8)
        points = np.round(spline(np.array(scratch.knots)) * side * 2**FINE).astype(np.int32)
        cv2.polylines(drawn, [points], False, 255, scratch.width, cv2.LINE_AA, FINE)
        cover = drawn[..., None].astype(np.float32) * np.float32(scratch.strength / 255)
        image = image + cover * (np.float32(scratch.grey) - image)
    return compared(image, clean)
