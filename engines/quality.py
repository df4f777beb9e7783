"""How near a restored picture is to its clean twin, as the deraining papers count it."""

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.number]
"""Pixels or their luma, of any one shape."""


def luma(rgb: Picture) -> npt.NDArray[np.float64]:
    """Y of BT.601 in studio range, as MATLAB's rgb2ycbcr has it: 16 for black, 235 for white.

    `rgb`: (..., 3), 0..255 for uint8, 0..65535 for uint16, 0..1 for floats. Gives (...) float64, not
    rounded: papers differ there, by some hundredths of a decibel.
    """
    peak = 1 if np.issubdtype(rgb.dtype, np.floating) else 2 ** (8 * rgb.itemsize) - 1
    weights = np.array([65.481, 128.553, 24.966]) / peak
    return np.asarray(16 + rgb.astype(np.float64) @ weights)


def psnr(a: Picture, b: Picture, peak: float) -> float:
    """Peak signal-to-noise ratio of `a` and `b` (one shape) in decibels; infinite where they are equal.

    `peak`: the largest value there can be: 255 for uint8 and for `luma`, 65535 for uint16, 1 for floats.
    Raises ValueError where the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"pictures of one shape can be compared, not {a.shape} and {b.shape}")
    error = np.mean(np.square(a.astype(np.float64) - b.astype(np.float64)))
    if error == 0:
        return float("inf")
    return float(10 * np.log10(peak**2 / error))
