"""Median, bilateral and BM3D: what Eigen et al. (ICCV 2013, section 4) compare their network with.

Their settings: on dirt a median of 8x8, a bilateral filter with sigma_s 3 and sigma_r 0.3, BM3D with sigma
0.15; on rain, whose pictures they halved, a median of 5x5 and a bilateral filter with sigma_s 2. sigma_r and
sigma are of pictures in 0..1. None was trained, so none judges any rain.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt

from derain.benchmarks.peers.critic import RGB
from derain.engines.errors import UsageError

Unit = npt.NDArray[np.float32]
"""(H, W, 3) RGB float32 in 0..1."""


@dataclass(frozen=True)
class Classic:
    """A filter as tables show it; `restore` maps (H, W, 3) RGB uint8 of any size to the same shape."""

    name: str
    restore: Callable[[RGB], RGB]
    judges: tuple[str, ...] = ()


def median(rainy: RGB, window: int) -> RGB:
    """The median of each colour over `window` x `window` pixels, beyond the border those reflected.

    OpenCV has only odd windows, so an even one goes through SciPy, which scikit-image brings: it reaches from
    window / 2 pixels before to window / 2 - 1 after, and takes the upper of the two middle values.
    """
    if window % 2:
        padded = np.pad(rainy, [(window // 2,) * 2] * 2 + [(0, 0)], "symmetric")
        inside = slice(window // 2, -(window // 2) or None)
        return np.ascontiguousarray(cv2.medianBlur(padded, window)[inside, inside])
    ndimage = needed("scipy.ndimage", f"a median of {window}x{window}", "pip install 'derain[train]'")
    return np.asarray(ndimage.median_filter(rainy, size=(window, window, 1), mode="reflect"), np.uint8)


def bilateral(rainy: RGB, sigma_s: float, sigma_r: float) -> RGB:
    """OpenCV's bilateral filter in float, over a disc of three sigma_s.

    Its distance of colours is the sum over the three channels, not the Euclidean one.
    """
    reach = 2 * round(3 * sigma_s) + 1
    return to_bytes(cv2.bilateralFilter(to_unit(rainy), reach, sigma_r, sigma_s))


def bm3d(rainy: RGB, sigma: float) -> RGB:
    """BM3D by its authors' package, free for non-commercial use only (Tampere University's own terms).

    So derain neither depends on it nor brings it. UsageError says how to get it.
    """
    package = needed("bm3d", "BM3D", "pip install bm3d (free for non-commercial use only)")
    return to_bytes(np.asarray(package.bm3d_rgb(to_unit(rainy), sigma), np.float32))


def needed(module: str, what: str, remedy: str) -> ModuleType:
    """An optional module; UsageError names it and the remedy where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{what} needs the package {module.partition('.')[0]}: {remedy}") from error


def to_unit(picture: RGB) -> Unit:
    return picture.astype(np.float32) / np.float32(255)


def to_bytes(picture: Unit) -> RGB:
    return np.asarray(np.rint(picture.clip(0, 1) * 255), np.uint8)


DIRT: tuple[Classic, ...] = (
    Classic("median 8x8", lambda rainy: median(rainy, 8)),
    Classic("bilateral 3, 0.3", lambda rainy: bilateral(rainy, 3, 0.3)),
    Classic("BM3D 0.15", lambda rainy: bm3d(rainy, 0.15)),
)
RAIN: tuple[Classic, ...] = (
    Classic("median 5x5", lambda rainy: median(rainy, 5)),
    Classic("bilateral 2, 0.3", lambda rainy: bilateral(rainy, 2, 0.3)),
    Classic("BM3D 0.15", lambda rainy: bm3d(rainy, 0.15)),
)
