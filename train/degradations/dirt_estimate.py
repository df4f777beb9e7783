"""The dirt of a real pane from pictures of known backgrounds with and without it (Eigen 2013, section 3.1).

    pairs = [(without, with_pane), ...]          # (H, W, 3) float32 in 0..1, the camera on a stand
    estimate(pairs).pane                         # alpha and alpha D, for dirt.sample(rng, h, w, pane=folder)

At every pixel, I' = alpha D + (1 - alpha) I holds for all backgrounds and the three colours, with one alpha
and a light alpha D of each colour: a straight line of one slope and three offsets, fitted by least squares.
Display-referred pictures give a pane for display-referred pictures, linear ones for linear ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError
from derain.train.degradations.pane import Pane
from derain.train.degradations.rain import Map, Picture

LEAST_SPREAD = 0.05
"""Standard deviation of the backgrounds at a pixel (of 0..1); below it their noise would decide the fit."""

MIDDLE = np.float32(0.5)
"""Taken off before squares are summed, so that float32 is enough for them."""


@dataclass(frozen=True)
class Estimate:
    """`pane`; `residual` (H, W): root mean square of what the fit leaves, in 0..1; `backgrounds`: how many;
    `spread`: the least standard deviation of the backgrounds at any pixel."""

    pane: Pane
    residual: Map
    backgrounds: int
    spread: float


class Fit:
    """Sums over the backgrounds, so that memory does not grow with their number; 48 bytes a pixel."""

    def __init__(self, height: int, width: int) -> None:
        self.count = 0
        self.shape = (height, width, 3)
        self.clean, self.dirty = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        self.squares, self.products, self.dirty_squares = np.zeros((3, height, width), np.float32)

    def add(self, clean: Picture, dirty: Picture) -> None:
        """One background without and with the pane. Raises DerainError for another size."""
        for picture in (clean, dirty):
            if picture.shape != self.shape:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (picture.shape, self.shape)]
                raise DerainError(f"a picture of {sizes[0]} pixels is no view of a pane of {sizes[1]}")
        centred, seen = clean - MIDDLE, dirty - MIDDLE
        self.count += 1
        self.clean += centred
        self.dirty += seen
        self.squares += (centred * centred).sum(axis=2)
        self.products += (centred * seen).sum(axis=2)
        self.dirty_squares += (seen * seen).sum(axis=2)

    def solve(self) -> Estimate:
        """The least-squares pane. Raises DerainError where the backgrounds hardly differ at some pixel."""
        if self.count < 2:
            raise DerainError(f"a pane is measured over two backgrounds or more, not {self.count}")
        clean, dirty = self.clean / self.count, self.dirty / self.count
        samples = 3 * self.count
        variance = self.squares - self.count * (clean * clean).sum(axis=2)
        spread = np.sqrt(np.maximum(variance, 0) / samples)
        check_spread(spread, self.count)
        covariance = self.products - self.count * (clean * dirty).sum(axis=2)
        kept = np.clip(covariance / variance, 0, 1)
        added = dirty + MIDDLE - kept[..., None] * (clean + MIDDLE)
        left = self.dirty_squares - self.count * (dirty * dirty).sum(axis=2)
        left += kept * (kept * variance - 2 * covariance)
        pane = Pane(floats(1 - kept), floats(np.clip(added, 0, 1)))
        return Estimate(pane, floats(np.sqrt(np.maximum(left, 0) / samples)), self.count, float(spread.min()))


def floats(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    return np.asarray(values, np.float32)


def check_spread(spread: Map, count: int) -> None:
    """Raises DerainError that says where the backgrounds hardly differ."""
    poor = spread < LEAST_SPREAD
    if poor.any():
        y, x = np.argwhere(poor)[0]
        raise DerainError(
            f"the {count} backgrounds are nearly the same at {poor.sum()} of {poor.size} pixels, first at "
            f"column {x}, row {y}, where they vary by {spread[y, x]:.3f} of the range and {LEAST_SPREAD} is "
            "needed; add pictures of backgrounds that are bright where these are dark"
        )


def estimate(pairs: Iterable[tuple[Picture, Picture]]) -> Estimate:
    """The pane of (without, with) pairs of (H, W, 3) float32 in 0..1, looked at once and in turn.

    Raises DerainError for fewer than two, for pictures of different sizes, and where the backgrounds hardly
    differ at some pixel.
    """
    fit: Fit | None = None
    for clean, dirty in pairs:
        fit = fit or Fit(*clean.shape[:2])
        fit.add(clean, dirty)
    return (fit or Fit(0, 0)).solve()
