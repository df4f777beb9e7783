"""Frames to look at a network with: made here, the same ones each time."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels

Picture = npt.NDArray[np.float32]
"""(H, W, 3) RGB in 0..1."""

SEED = 1013
OCTAVES = 6
"""Of the clouds: each twice as fine as the one before, and half as strong."""
PIXELS_A_STREAK = 600
PIXELS_A_DROP = 8000


def probes(height: int, width: int, dtype: str) -> dict[str, Pixels]:
    """By name: one (height, width, 3) frame of `dtype` ("uint8" or "uint16") of each of MAKERS."""
    return {name: _pixels(make(height, width), dtype) for name, make in MAKERS.items()}


def _pixels(picture: Picture, dtype: str) -> Pixels:
    scaled = np.rint(np.clip(picture, 0, 1) * np.iinfo(dtype).max)
    pixels: Pixels = scaled.astype(dtype)
    return pixels


def flat(height: int, width: int) -> Picture:
    """One grey, a little to blue."""
    return np.full((height, width, 3), (0.45, 0.5, 0.55), np.float32)


def noise(height: int, width: int) -> Picture:
    """Every value by chance: more contrast than any picture has."""
    return np.random.default_rng(SEED).random((height, width, 3), np.float32)


def photo(height: int, width: int) -> Picture:
    """What photographs have: a bright sky, surfaces at all scales, hard edges, black and white."""
    rng = np.random.default_rng(SEED)
    sky = np.linspace(0.8, 0.3, height, dtype=np.float32)[:, None, None]
    picture = sky + 0.35 * _clouds(height, width, rng)
    for _ in range(12):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        tall, wide = 1 + int(rng.integers(height)) // 3, 1 + int(rng.integers(width)) // 4
        part = picture[top : top + tall, left : left + wide]
        part *= 0.4
        part += 0.6 * rng.random(3, np.float32)
    tall, wide = max(height // 8, 1), max(width // 8, 1)
    picture[:tall, :wide] = 0
    picture[-tall:, -wide:] = 1
    clipped: Picture = np.clip(picture, 0, 1)
    return clipped


def _clouds(height: int, width: int, rng: np.random.Generator) -> Picture:
    """Around 0: at each scale as strong as it is large, as in photographs."""
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(OCTAVES):
        grid = rng.standard_normal((3 << octave, 4 << octave, 3), np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / (2 << octave)
    return total


def rain(height: int, width: int) -> Picture:
    """The photo behind streaks that fall aslant and drops that smear what is behind them."""
    rng = np.random.default_rng(SEED)
    picture = _behind_drops(photo(height, width), rng)
    layer = np.zeros((height, width), np.float32)
    for _ in range(max(height * width // PIXELS_A_STREAK, 1)):
        x, y = int(rng.integers(width)), int(rng.integers(-height // 8, height))
        length = int(rng.integers(4, max(height // 8, 6)))
        bright = float(rng.uniform(0.2, 0.7))
        cv2.line(layer, (x, y), (x + length // 5, y + length), bright, 1, cv2.LINE_8)
    return picture + _blurred(layer, 3)[..., None]


def _behind_drops(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    drops = np.zeros((height, width), np.float32)
    for _ in range(max(height * width // PIXELS_A_DROP, 1)):
        centre = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(drops, centre, int(rng.integers(2, max(height // 12, 4))), 1.0, cv2.FILLED)
    share = _blurred(drops, 5)[..., None]
    return picture + share * (_blurred(picture[::-1], 15) - picture)


def _blurred(values: Picture, kernel: int) -> Picture:
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(values), (kernel, kernel), 0), np.float32)


MAKERS: Mapping[str, Callable[[int, int], Picture]] = {
    "flat": flat,
    "noise": noise,
    "photo": photo,
    "rain": rain,
}
