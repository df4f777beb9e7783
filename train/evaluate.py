"""PSNR and SSIM of restored pictures, counted as the deraining papers count them.

PSNR on Y: luma of BT.601 in 16..235 (MATLAB's rgb2ycbcr), unrounded, peak 255, the mean over the pictures of
each one's PSNR. SSIM as Wang et al. 2004 (Gaussian window, sigma 1.5), from scikit-image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from derain.engines.errors import DerainError
from derain.engines.quality import luma, psnr
from derain.train.datasets import Pair, read_rgb

RGB: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Score:
    """Figures of one picture against its clean twin; PSNR in dB, inf where they are equal."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


@dataclass(frozen=True)
class Scored:
    """A pair with the scores of its rainy and its restored picture."""

    pair: Pair
    rainy: Score
    restored: Score

    @property
    def gain(self) -> float:
        """PSNR on Y gained over the input, in dB; -inf where the input was clean and is no more."""
        return 0.0 if self.restored.psnr_y == self.rainy.psnr_y else self.restored.psnr_y - self.rainy.psnr_y


def similarity(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic], axis: int | None) -> float:
    """SSIM of two pictures of peak 255; pictures smaller than its 11-pixel window can't be measured."""
    if min(a.shape[:2]) < 11:
        raise DerainError(f"SSIM needs pictures of 11x11 and more, not {a.shape[1]}x{a.shape[0]}")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(structural_similarity(a, b, channel_axis=axis, **options))


def score(picture: RGB, clean: RGB) -> Score:
    """Figures of `picture` against `clean`, both (H, W, 3) uint8."""
    y, clean_y = luma(picture), luma(clean)
    return Score(
        psnr_y=psnr(y, clean_y, 255),
        ssim_y=similarity(y, clean_y, None),
        psnr_rgb=psnr(picture, clean, 255),
        ssim_rgb=similarity(picture, clean, 2),
    )


def read_pair(pair: Pair) -> tuple[RGB, RGB]:
    """(rainy, clean); DerainError where their sizes differ."""
    rainy, clean = read_rgb(pair.rainy), read_rgb(pair.clean)
    if rainy.shape != clean.shape:
        sizes = [f"{p.shape[1]}x{p.shape[0]}" for p in (rainy, clean)]
        raise DerainError(f"the pair {pair.name} has different sizes: rainy {sizes[0]}, clean {sizes[1]}")
    return rainy, clean


def evaluate(pairs: Sequence[Pair], restore: Callable[[RGB], RGB]) -> list[Scored]:
    """Scores of every pair, in order; `restore` maps (H, W, 3) uint8 to the same."""
    scored = []
    for pair in pairs:
        rainy, clean = read_pair(pair)
        scored.append(Scored(pair, score(rainy, clean), score(restore(rainy), clean)))
    return scored


def mean(scores: Sequence[Score]) -> Score:
    """Means over pictures."""
    columns = ([getattr(s, name) for s in scores] for name in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"))
    return Score(*(float(np.mean(column)) for column in columns))


def contact_sheet(scored: Sequence[Scored], restore: Callable[[RGB], RGB], count: int = 6) -> RGB:
    """The pictures that gained least, worst first: rainy, restored, clean, 320x240 each."""
    rows = []
    for item in sorted(scored, key=lambda s: s.gain)[:count]:
        rainy, clean = read_pair(item.pair)
        label = f"{item.pair.name[:28]} {item.restored.psnr_y:.1f} dB ({item.gain:+.1f})"
        rows.append(np.hstack([thumbnail(p) for p in (rainy, restore(rainy), clean)]))
        cv2.putText(rows[-1], label, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return np.vstack(rows)


def thumbnail(picture: RGB, width: int = 320, height: int = 240) -> RGB:
    """The picture within a box of that size, on black."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.pad(small, ((0, height - size[1]), (0, width - size[0]), (0, 0)))


def save_sheet(path: Path, sheet: RGB) -> None:
    """Writes a contact sheet; DerainError where the folder can't be written."""
    try:
        done = cv2.imwrite(str(path), sheet[..., ::-1])
    except cv2.error as error:
        raise DerainError(f"{path} could not be written: {error.err}") from error
    if not done:
        raise DerainError(f"{path} could not be written")
