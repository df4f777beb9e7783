"""Restores at a smaller scale and brings the correction up: the picture itself keeps its full size.

The correction is what the network changed, restored less rainy. The fast guided filter (He, Sun 2015)
explains it, channel by channel and in small windows, as a line a * rainy + b, and a and b are what is made
larger: edges of the correction are then where the large picture has them. Where the network changed nothing,
nothing is changed.
"""

import functools
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels

Floats: TypeAlias = npt.NDArray[np.float32]

RADIUS = 2
"""Pixels of the small picture around each that its line is fitted to."""
SMOOTH = 25.0
"""Variance (of 255 levels) below which a window counts as flat: there the correction is a constant."""


def smaller(pixels: Pixels, scale: float) -> Pixels:
    """`pixels` (H, W, 3) at `scale` of their size, at least one pixel a side."""
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    small: Pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return small


def corrected(rainy: Pixels, small: Pixels, restored: Pixels, strength: float = 1.0) -> Pixels:
    """`rainy` (H, W, 3) uint8 with the correction that took `small` to `restored`, both (h, w, 3), times
    `strength`; a new array."""
    change = cv2.subtract(restored, small, dtype=cv2.CV_32F)
    slope, offset = lines(small.astype(np.float32), change)
    size = (rainy.shape[1], rainy.shape[0])
    slope, offset = (cv2.resize(part, size, interpolation=cv2.INTER_LINEAR) for part in (slope, offset))
    added = cv2.add(cv2.multiply(slope, rainy, dtype=cv2.CV_32F), offset)
    added *= np.float32(strength)
    out: Pixels = rainy.copy()
    cv2.copyTo(cv2.add(rainy, added, dtype=cv2.CV_8U), where_changed(small, restored, size), out)
    return out


def lines(guide: Floats, target: Floats) -> tuple[Floats, Floats]:
    """(a, b), both (h, w, 3), of the lines by which `guide` tells `target`, means over the windows that a
    pixel is in."""
    mean_guide, mean_target = box(guide), box(target)
    covariance, variance = box(cv2.multiply(guide, target)), box(cv2.multiply(guide, guide))
    covariance -= cv2.multiply(mean_guide, mean_target)
    variance -= cv2.multiply(mean_guide, mean_guide)
    variance += np.float32(SMOOTH)
    slope = np.asarray(cv2.divide(covariance, variance), np.float32)
    mean_target -= cv2.multiply(slope, mean_guide)
    return box(slope), box(mean_target)


def box(values: Floats) -> Floats:
    """The mean of the window around each."""
    side = 2 * RADIUS + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT_101), np.float32)


def where_changed(small: Pixels, restored: Pixels, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Of a picture of `size` (width, height), 255 where the small one was changed, or right beside it."""
    change = functools.reduce(cv2.max, cv2.split(cv2.absdiff(restored, small)))
    changed = cv2.dilate((change > 0).astype(np.uint8) * 255, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.resize(changed, size, interpolation=cv2.INTER_NEAREST), np.uint8)
