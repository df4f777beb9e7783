"""The types every degradation shares."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Picture: TypeAlias = npt.NDArray[np.float32]
"""(H, W, 3) RGB float32 in 0..1, display-referred."""

Map: TypeAlias = npt.NDArray[np.float32]
"""(H, W) float32 in 0..1."""

MASK_SCALE = 0.1
"""A difference of this much (of the range 0..1) counts as fully rainy in the soft mask."""


@dataclass(frozen=True)
class Rainy:
    """A degraded picture and its rain mask: `image` (H, W, 3) and `mask` (H, W), both float32 in 0..1."""

    image: Picture
    mask: Map


def difference_mask(rainy: Picture, clean: Picture) -> Map:
    """The largest difference of the three colours over MASK_SCALE, clipped to 0..1; (H, W) float32."""
    difference = np.abs(rainy - clean).max(axis=2)
    return np.asarray(np.minimum(difference / MASK_SCALE, 1.0), np.float32)
