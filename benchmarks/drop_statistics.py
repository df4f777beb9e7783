"""What drops on a pair of pictures measure: how much they touch, how large, how deep, how bright, how
soft."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.rain import Map, Picture

TOUCHED = 0.05
"""Difference (of 0..1, smoothed over 1.5 pixels) from which a pixel counts as touched."""
SMALLEST = 80
"""Pixels; smaller areas are not measured as drops."""
FINE = 3.0
"""The background's contrast is what a blur of this many pixels takes away."""


@dataclass(frozen=True)
class DropStatistics:
    """`touched`: share of the picture; for each connected area of it, (N,): equivalent `radius` in pixels,
    `contrast`: share of the background's fine contrast left inside, `veil`: level 0..1 of the light over it,
    `edge`: pixels over which the difference rises from 20 to 80 % of the area's own height."""

    touched: float
    radius: npt.NDArray[np.float64]
    contrast: npt.NDArray[np.float64]
    veil: npt.NDArray[np.float64]
    edge: npt.NDArray[np.float64]


def grey(picture: Picture) -> Map:
    return np.asarray(picture.mean(axis=2), np.float32)


def measure(rainy: Picture, clean: Picture) -> DropStatistics:
    """Statistics of the drops on `rainy` (H, W, 3) in 0..1, against its `clean` twin in the same places."""
    difference = np.abs(cv2.GaussianBlur(rainy - clean, (0, 0), 1.5)).max(axis=2)
    touched = difference > TOUCHED
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(touched.astype(np.uint8))
    pair = grey(rainy), grey(clean)
    fine = [plane - cv2.GaussianBlur(plane, (0, 0), FINE) for plane in pair]
    rows = []
    for label in range(1, count):
        left, top, width, height, area = boxes[label]
        if area >= SMALLEST:
            window = np.s_[top : top + height, left : left + width]
            inside = labels[window] == label
            kept = slope(fine[1][window][inside], fine[0][window][inside])
            over = light(pair[0][window][inside], pair[1][window][inside], kept)
            rows.append((np.sqrt(area / np.pi), kept, over, softness(difference[window], inside)))
    table = np.array(rows, np.float64).reshape(-1, 4)
    return DropStatistics(float(touched.mean()), *table.T)


Pixels = npt.NDArray[np.float32]


def slope(clean: Pixels, rainy: Pixels) -> float:
    """Of `rainy` over `clean`, both (N,), by least squares, 0..1."""
    return float(np.clip((clean @ rainy) / max(float(clean @ clean), 1e-9), 0, 1))


def light(rainy: Pixels, clean: Pixels, kept: float) -> float:
    """Level 0..1 of what lies over the `kept` share of the background; both (N,) of one area."""
    over = (float(rainy.mean()) - kept * float(clean.mean())) / max(1 - kept, 0.05)
    return float(np.clip(over, 0, 1))


def softness(difference: Map, inside: npt.NDArray[np.bool_]) -> float:
    """Pixels from 20 to 80 % of the highest difference, on the way in from the border."""
    depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep = np.rint(depth[inside]).astype(int)
    rise = np.bincount(deep, difference[inside]) / np.maximum(np.bincount(deep), 1)
    high = float(np.percentile(difference[inside], 95))
    above = [int(np.argmax(rise >= share * high)) for share in (0.2, 0.8)]
    return float(max(above[1] - above[0], 1)) if (rise >= 0.8 * high).any() else float(len(rise))
