"""Pictures that show what a restoration did: rainy beside restored, what was taken away, and where."""

import functools
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels

Mask: TypeAlias = npt.NDArray[np.uint8]
"""(H, W), 255 or 0."""

Comparison: TypeAlias = Literal["side", "split"]
"""side: both pictures next to each other. split: one picture, left half rainy, right half restored."""

DIVIDER = 2
"""Width in pixels of the white line between the halves of a split picture."""

MASK_LEVELS = 2
"""Levels of 255 by which a colour must change by more for its pixel to count as altered.

Nobody sees a step of two. Rounding alone makes it, and networks with a soft gate make it all over a dry
picture: of a frame of our clean sample clip the first network that was shipped, `realtime`, changed 26 % of
the pixels at all, and 12 % by more than two levels.
"""


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


def compare_displayed(rainy: Pixels, restored: Pixels, comparison: Comparison, rotation: int) -> Pixels:
    """`compare` for pictures that are shown turned by `rotation` degrees counter-clockwise, a multiple of 90.

    Joins them as they are shown and turns the result back: (2H, W, 3) for "side" at 90 and 270 degrees.
    """
    turns = rotation // 90
    if not turns:
        return compare(rainy, restored, comparison)
    shown = compare(np.rot90(rainy, turns), np.rot90(restored, turns), comparison)
    return np.ascontiguousarray(np.rot90(shown, -turns))


def side_size(width: int, height: int, rotation: int) -> tuple[int, int]:
    """(width, height) as stored of two pictures of that size side by side as shown."""
    return (width, 2 * height) if rotation // 90 % 2 else (2 * width, height)


def heat_map(rainy: Pixels, attention: Pixels) -> Pixels:
    """An attention map (H, W) as colours over the grey picture `rainy`, (H, W, 3) of the same dtype.

    Half of each value is the picture's, half the map's: from black for none to bright yellow for all.
    """
    grey = cv2.cvtColor(cv2.cvtColor(rainy, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    step = (int(np.iinfo(rainy.dtype).max) + 1) // 256
    heat = cv2.applyColorMap((attention // step).astype(np.uint8), cv2.COLORMAP_INFERNO)
    colours = cv2.cvtColor(heat, cv2.COLOR_BGR2RGB).astype(rainy.dtype)
    shown: Pixels = cv2.addWeighted(grey, 0.5, colours, 0.5 * int(np.iinfo(rainy.dtype).max) / 255, 0)
    return shown


def rain_layer(rainy: Pixels, restored: Pixels) -> Pixels:
    """What was taken away, (H, W, 3): mid grey where nothing was, brighter where something bright was.

    The differences keep their size around 128 (uint8) or 32768 (uint16), and are clipped at the ends.
    """
    middle = (int(np.iinfo(rainy.dtype).max) + 1) // 2
    layer: Pixels = cv2.addWeighted(rainy, 1, restored, -1, middle)
    return layer


def altered(rainy: Pixels, restored: Pixels, levels: int = MASK_LEVELS) -> Mask:
    """Where a picture was altered, (H, W): 255 where a colour differs by more than `levels` of 255, else 0.

    The pictures are (H, W, 3), or (H, W) in grey, of one dtype. At 0 levels every altered pixel counts.
    """
    difference = cv2.absdiff(rainy, restored)
    if difference.ndim == 3:
        difference = functools.reduce(cv2.max, cv2.split(difference))
    most = levels * (int(np.iinfo(rainy.dtype).max) // 255)
    mask: Mask = cv2.compare(difference, most, cv2.CMP_GT)
    return mask


def altered_picture(rainy: Pixels, restored: Pixels, levels: int = MASK_LEVELS) -> Pixels:
    """The mask `altered` as a picture like the two, (H, W, 3): white or black."""
    white = int(np.iinfo(rainy.dtype).max) // 255
    mask = altered(rainy, restored, levels).astype(rainy.dtype) * rainy.dtype.type(white)
    picture: Pixels = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB)
    return picture
