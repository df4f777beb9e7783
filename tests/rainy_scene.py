"""A small still scene and rain over it, for the tests of backgrounds."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from clips import Clip

WIDTH, HEIGHT = 160, 120

RGB = npt.NDArray[np.uint8]


def scene(width: int = WIDTH, height: int = HEIGHT) -> RGB:
    """Coloured patches with edges and corners, no value near black or white; (height, width, 3) RGB."""
    small = np.random.default_rng(3).integers(50, 170, (height // 12, width // 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def streaks(number: int, width: int, height: int, many: int = 70) -> npt.NDArray[np.int16]:
    """What the rain of frame `number` adds: bright lines, elsewhere in each frame; (height, width, 1)."""
    rng = np.random.default_rng([11, number])
    light = np.zeros((height, width), np.uint8)
    for x, y in zip(rng.integers(0, width, many), rng.integers(-10, height, many), strict=True):
        cv2.line(light, (int(x), int(y)), (int(x) + 3, int(y) + 14), int(rng.integers(30, 80)))
    return light.astype(np.int16)[..., None]


def rainy(number: int, clean: RGB | None = None, noise: float = 0.0, many: int = 70) -> RGB:
    """Frame `number` of the scene in the rain."""
    clean = scene() if clean is None else clean
    height, width = clean.shape[:2]
    picture = clean.astype(np.float64) + streaks(number, width, height, many)
    if noise:
        picture = picture + np.random.default_rng([12, number]).normal(0, noise, clean.shape)
    return np.asarray(np.clip(picture.round(), 0, 255), np.uint8)


def sequence(frames: int, **how: Any) -> RGB:
    """(frames, HEIGHT, WIDTH, 3) of `rainy`."""
    return np.stack([rainy(number, **how) for number in range(frames)])


def write(path: Path, pictures: RGB, **how: Any) -> Path:
    """A video that loses nothing of `pictures` (N, H, W, 3); `path` ends in .mkv."""
    return Clip(
        times=range(len(pictures)),
        width=pictures.shape[2],
        height=pictures.shape[1],
        codec="ffv1",
        pixel_format="bgr0",
        picture=lambda number, width, height: pictures[number],
        **how,
    ).write(path)
