"""PSNR and SSIM of restored pictures, counted as the deraining papers count them: docs/evaluation.md.

PSNR on Y: luma of BT.601 in 16..235 (MATLAB's rgb2ycbcr), unrounded, peak 255, the mean over the pictures of
each one's PSNR. SSIM as Wang et al. 2004: a Gaussian window of 11x11 and sigma 1.5, where it fits wholly.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError
from derain.engines.quality import luma, psnr

RGB: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) uint8."""
Mask: TypeAlias = npt.NDArray[np.bool_]
"""(H, W), True where there is rain."""
Plane: TypeAlias = npt.NDArray[np.float64]
"""(H, W), peak 255."""
Pixels: TypeAlias = npt.NDArray[np.uint8] | Plane
Run: TypeAlias = Callable[..., Iterable[list[float]]]

PEAK = 255.0
WINDOW, SIGMA = 11, 1.5
STEADY = ((0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2)
"""The constants C1 and C2 of SSIM."""
MASK_LEVELS = 30
"""A pixel that differs by more grey levels in any colour is rain (Qian 2018, section 4.1)."""


@dataclass(frozen=True)
class Score:
    """Figures of one picture against its clean twin; PSNR in dB, inf where they are equal."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


@dataclass(frozen=True)
class Area:
    """Squared error on Y, in grey levels squared, summed over `pixels` of one picture or of many."""

    squares: float = 0.0
    pixels: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(self.squares + other.squares, self.pixels + other.pixels)

    @property
    def psnr(self) -> float:
        """In dB over all the pixels at once; inf where all are equal, nan where there are none."""
        if not self.pixels:
            return float("nan")
        if self.squares == 0:
            return float("inf")
        return float(10 * np.log10(PEAK**2 * self.pixels / self.squares))


@dataclass(frozen=True)
class Areas:
    """The error where the rain is and where it is not."""

    rain: Area = Area()
    free: Area = Area()

    def __add__(self, other: "Areas") -> "Areas":
        return Areas(self.rain + other.rain, self.free + other.free)

    @property
    def whole(self) -> Area:
        """Both together."""
        return self.rain + self.free

    @property
    def share(self) -> float:
        """Of the pixels that are rain, 0..1; nan without pixels."""
        return self.rain.pixels / self.whole.pixels if self.whole.pixels else float("nan")


class Similarity:
    """SSIM against one clean plane of peak 255, whose own means are taken once for many pictures.

    Raises DerainError for a plane smaller than the window.
    """

    def __init__(self, clean: Plane) -> None:
        if min(clean.shape) < WINDOW:
            height, width = clean.shape
            raise DerainError(f"SSIM needs pictures of {WINDOW}x{WINDOW} and more, not {width}x{height}")
        self._clean = clean
        self._mean = blur(clean)
        self._variance = blur(clean * clean) - self._mean * self._mean

    def __call__(self, plane: Plane) -> float:
        """The mean over the places where the window lies wholly inside; 1 for equal planes."""
        mean = blur(plane)
        product = mean * self._mean
        squares = mean * mean
        variance = blur(plane * plane) - squares
        squares += self._mean * self._mean
        covariance = blur(plane * self._clean) - product
        first, second = STEADY
        above = (2 * product + first) * (2 * covariance + second)
        below = (squares + first) * (variance + self._variance + second)
        return float((above / below).mean())


def blur(plane: Plane) -> Plane:
    """Gaussian means of the places where the window fits: (H - 10, W - 10)."""
    edge = WINDOW // 2
    blurred = cv2.GaussianBlur(plane, (WINDOW, WINDOW), SIGMA)
    return np.asarray(blurred[edge:-edge, edge:-edge], np.float64)


def similarities(clean: Pixels, pictures: Sequence[Pixels]) -> list[float]:
    """SSIM of one plane of each picture, (H, W) of peak 255, against the clean one's."""
    similarity = Similarity(clean.astype(np.float64))
    return [similarity(plane.astype(np.float64)) for plane in pictures]


def compare(clean: RGB, pictures: Sequence[RGB], run: Run = map) -> list[tuple[Score, Plane]]:
    """Figures of each of the pictures of one clean one, and its error on Y in grey levels.

    `run`: as `map`; that of a pool of threads makes it faster.
    """
    lumas, clean_luma = [luma(picture) for picture in pictures], luma(clean)
    planes: list[Sequence[Pixels]] = [[clean_luma, *lumas]]
    planes += [[p[..., colour] for p in (clean, *pictures)] for colour in range(3)]
    ssim_y, *ssim_rgb = run(similarities, [each[0] for each in planes], [each[1:] for each in planes])
    compared = []
    for index, (picture, y) in enumerate(zip(pictures, lumas, strict=True)):
        ssims = ssim_y[index], float(np.mean([colour[index] for colour in ssim_rgb]))
        figures = Score(psnr(y, clean_luma, PEAK), ssims[0], psnr(picture, clean, PEAK), ssims[1])
        compared.append((figures, y - clean_luma))
    return compared


def score(picture: RGB, clean: RGB) -> Score:
    """Figures of `picture` against `clean`, both (H, W, 3) uint8."""
    return compare(clean, [picture])[0][0]


def rain_mask(rainy: RGB, clean: RGB) -> Mask:
    """Where the two differ by more than 30 grey levels in any colour."""
    return np.asarray(cv2.absdiff(rainy, clean).max(axis=2) > MASK_LEVELS)


def areas(error: Plane, mask: Mask) -> Areas:
    """The error on Y split by the mask, both (H, W)."""
    squares = np.square(error)
    inside = float(squares[mask].sum())
    count = int(np.count_nonzero(mask))
    # Summed apart: the whole less the inside would leave rounding where there is no error.
    outside = float(squares[~mask].sum())
    return Areas(Area(inside, count), Area(outside, mask.size - count))


def mean(scores: Sequence[Score]) -> Score:
    """Means over pictures; a PSNR that is infinite for one picture has an infinite mean."""
    return Score(*(float(np.mean(column)) for column in zip(*map(astuple, scores), strict=True)))
