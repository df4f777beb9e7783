"""Rain masks and patch filters as the papers define them.

Pictures are (H, W, 3) float32 in 0..1, maps (H, W) float32. None of the papers says how the three colours of
a difference become one number: here it is the largest, so that coloured rain counts as much as grey.
"""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.float32]

QIAN_DIFFERENCE = 30 / 255
"""Qian 2018, section 4: a pixel that differs by more than 30 of 255 is part of a raindrop."""

SPANET_DIFFERENCE = 0.5 / 255
"""SPANet 2019 thresholds the difference and gives no number; its published data reader takes any that 8 bits
can hold, as SPA-Data's twins differ by nothing but rain."""

ATTENTION_DIFFERENCE = 0.1
"""A difference of this much (of the range 0..1) counts as fully rainy in our attention map."""

EIGEN_VARIANCE = 1e-3
"""Eigen 2013, section 5: the least variance of a clean patch to train on."""

EIGEN_ALPHA = 0.03
"""Eigen 2013, section 5.1: some pixel of a patch has at least this much dirt."""

EIGEN_DIFFERENCE = 0.1
"""Eigen 2013, section 5.2: some pixel of a patch differs by more than this."""

ROUNDING = 1e-6
"""Of a difference between two float32 in 0..1: thirty grey levels are not more than thirty."""


def difference(rainy: Pixels, clean: Pixels) -> Pixels:
    """The largest absolute difference of the three colours, (H, W)."""
    red, green, blue = cv2.split(cv2.absdiff(rainy, clean))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.float32)


def above(values: Pixels, threshold: float) -> Pixels:
    """1 where a difference is larger than the threshold, else 0."""
    return np.asarray(values > np.float32(threshold + ROUNDING), np.float32)


def qian(rainy: Pixels, clean: Pixels) -> Pixels:
    """Qian's raindrop label: 1 where the difference is over 30 of 255, else 0."""
    return above(difference(rainy, clean), QIAN_DIFFERENCE)


def spanet(rainy: Pixels, clean: Pixels, threshold: float = SPANET_DIFFERENCE) -> Pixels:
    """SPANet's binary map: 1 where the difference is over the threshold, else 0."""
    return above(difference(rainy, clean), threshold)


def daiam(rainy: Pixels, clean: Pixels) -> Pixels:
    """DAiAM's soft mask (2021, section 3.2): the difference normalised to 0..1 by its largest value in the
    picture; all 0 where nothing differs."""
    soft = difference(rainy, clean)
    largest = float(soft.max(initial=0.0))
    return np.asarray(soft / np.float32(largest), np.float32) if largest > 0 else soft


def attention(rainy: Pixels, clean: Pixels) -> Pixels:
    """Our soft map, the same rain giving the same value in every picture: 1 from ATTENTION_DIFFERENCE on."""
    return marks(rainy, clean)[1]


def marks(rainy: Pixels, clean: Pixels) -> tuple[Pixels, Pixels]:
    """(`qian`, `attention`), of one difference: every patch that is trained on needs both."""
    change = difference(rainy, clean)
    soft = np.minimum(change / np.float32(ATTENTION_DIFFERENCE), 1)
    return above(change, QIAN_DIFFERENCE), np.asarray(soft, np.float32)


def has_detail(clean: Pixels) -> bool:
    """Eigen's filter of clean patches: the variance over the patch, mean of the three colours', is enough.

    A plain red patch has none, whatever the difference between its colours.
    """
    return bool(clean.reshape(-1, clean.shape[2]).var(axis=0, dtype=np.float64).mean() >= EIGEN_VARIANCE)


def trains_dirt(clean: Pixels, alpha: Pixels) -> bool:
    """Eigen's choice of dirt patches: detail behind, and a pixel whose opacity in `alpha` is 0.03 or more."""
    return has_detail(clean) and float(alpha.max(initial=0.0)) >= EIGEN_ALPHA - ROUNDING


def trains_rain(rainy: Pixels, clean: Pixels) -> bool:
    """Eigen's choice of rain patches: detail behind, and a pixel that differs by more than 0.1."""
    return has_detail(clean) and bool(above(difference(rainy, clean), EIGEN_DIFFERENCE).any())
