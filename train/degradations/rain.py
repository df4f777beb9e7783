"""The types every degradation shares, and the protocol it keeps.

A degradation is a module with `sample(rng, height, width, ...) -> params` (a frozen dataclass of numbers)
and `apply(clean, params, time) -> Rainy`. `time` is in seconds: the same params at another time give the same
rain later, falling on or standing still as its kind does. Nothing random is drawn in `apply` but what
`params.seed` fixes.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from derain.train.degradations import masks

Picture: TypeAlias = npt.NDArray[np.float32]
"""(H, W, 3) RGB float32 in 0..1, display-referred."""

Map: TypeAlias = npt.NDArray[np.float32]
"""(H, W) float32 in 0..1."""


@dataclass(frozen=True)
class Rainy:
    """A degraded picture and where its rain is.

    `image` (H, W, 3) in 0..1; `mask` (H, W), 0 or 1: the label of Qian 2018; `attention` (H, W) in 0..1: the
    soft map a network learns to estimate, 1 from a difference of 0.1 on. All float32.
    """

    image: Picture
    mask: Map
    attention: Map


def compared(image: Picture, clean: Picture) -> Rainy:
    """`image` clipped to 0..1, with its marks by the largest difference of the three colours to `clean`."""
    image = np.clip(image, 0, 1).astype(np.float32, copy=False)
    return Rainy(image, *masks.marks(image, clean))


def dry(clean: Picture) -> Rainy:
    """`clean` as it is, with nothing marked."""
    nothing = np.zeros(clean.shape[:2], np.float32)
    return Rainy(clean, nothing, nothing)
