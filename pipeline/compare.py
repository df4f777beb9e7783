"""Pictures that show what a restoration did: rainy beside restored, and what was taken away."""

from typing import Literal, TypeAlias

import cv2
import numpy as np

from derain.engines.engine import Pixels

Comparison: TypeAlias = Literal["side", "split"]
"""side: both pictures next to each other. split: one picture, left half rainy, right half restored."""

DIVIDER = 2
"""Width in pixels of the white line between the halves of a split picture."""


def compare(rainy: Pixels, restored: Pixels, comparison: Comparison) -> Pixels:
    """One picture of `rainy` and `restored`, each (H, W, 3) of one dtype.

    Gives (H, 2W, 3) for "side" and (H, W, 3) for "split", in new memory.
    """
    if comparison == "side":
        return np.concatenate((rainy, restored), axis=1)
    picture = restored.copy()
    middle = picture.shape[1] // 2
    picture[:, :middle] = rainy[:, :middle]
    if picture.shape[1] > 8 * DIVIDER:
        picture[:, middle - DIVIDER // 2 : middle + DIVIDER // 2] = np.iinfo(picture.dtype).max
    return picture


def rain_layer(rainy: Pixels, restored: Pixels) -> Pixels:
    """What was taken away, (H, W, 3): mid grey where nothing was, brighter where something bright was.

    The differences keep their size around 128 (uint8) or 32768 (uint16), and are clipped at the ends.
    """
    middle = (int(np.iinfo(rainy.dtype).max) + 1) // 2
    layer: Pixels = cv2.addWeighted(rainy, 1, restored, -1, middle)
    return layer
