"""The clean background of rainy pictures of one still scene (Wang et al. 2019, section 3): no codec, no file.

Rain brightens a pixel now and then, so the value a pixel takes most often, its mode, is its background (eq.
2). The mode alone is noisy. It stands for a range of ranks among the pixel's values in order (eq. 3); the one
rank that lies in the ranges of most pixels (eq. 4), taken at every pixel, gives a picture that is smooth as
well.

Colours are ranked each for itself and share one rank, counted over the pixels of all three. Ranking by luma
and taking the frame's whole colour keeps colours that a camera saw, but the other two then carry one frame's
noise: `derain bench background` shows both.

`frames` are (N, ..., 3) RGB or (N, ...) uint8 or uint16 everywhere, N pictures in time of the same pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[Any]
"""uint8 or uint16, one scale; the shape is said where it is used."""

Ranks: TypeAlias = npt.NDArray[np.uint16]

LEAST_INSIDE = 0.01
"""Pixels between black and white that decide the rank alone, as a share of those at the ends."""


@dataclass(frozen=True)
class Ranking:
    """The rank that eq. 4 found among `frames` values in order: `rank` counts from 0.

    `crossed`: the share of the pixels' ranges it lies in, 0..1.
    """

    rank: int
    frames: int
    crossed: float

    @property
    def percentile(self) -> float:
        """The middle of the rank's own share of 0..100."""
        return 100 * (self.rank + 0.5) / self.frames


def ordered(frames: Samples) -> Samples:
    """Each pixel's values from dark to bright, along the first axis."""
    return np.sort(frames, axis=0, kind="stable")  # which is a radix sort for these types


def mode_ranks(in_order: Samples) -> tuple[Ranks, Ranks]:
    """Each pixel's mode (eq. 2) as its range of ranks (eq. 3): the first, and the one after the last.

    `in_order` as `ordered` gives it. The first is the number of values below the mode, the last that of
    values up to it: R_min and R_max times N / 100. Of values equally frequent the darkest is the mode, as
    rain brightens. Values of 16 bits count as equal where their upper 8 bits are.
    """
    levels = in_order if in_order.dtype == np.uint8 else (in_order >> 8).astype(np.uint8)
    run = np.ones(levels.shape[1:], np.uint16)
    longest, last = run.copy(), np.zeros_like(run)
    for index in range(1, len(levels)):
        run *= levels[index] == levels[index - 1]
        run += 1
        longer = run > longest
        np.copyto(longest, run, where=longer)
        np.copyto(last, np.uint16(index), where=longer)
    return last + np.uint16(1) - longest, last + np.uint16(1)


def value_at(in_order: Samples, ranks: Ranks) -> Samples:
    """Each pixel's value at a rank of its own, without the first axis."""
    picked: Samples = np.take_along_axis(in_order, ranks[None].astype(np.int64), axis=0)[0]
    return picked


def mode(frames: Samples) -> Samples:
    """Each pixel's most frequent value (eq. 2), the darkest of equally frequent ones."""
    in_order = ordered(frames)
    first, _ = mode_ranks(in_order)
    return value_at(in_order, first)


class Crossings:
    """Counts, part after part of a picture, how many pixels' ranges each rank lies in (eq. 4).

    A pixel whose mode is black or white is not counted, as long as some others are there: what lay beyond was
    cut off by the camera, so its range is far too long on one side. A white sky would else draw the rank up
    into the rain of all that is darker, a case that the paper does not speak of.
    """

    def __init__(self, frames: int) -> None:
        self._inside, self._cut_off = Tally(frames), Tally(frames)

    def add(self, in_order: Samples) -> None:
        """Further pixels, as `ordered` gives them."""
        ranks = mode_ranks(in_order)
        modes = value_at(in_order, ranks[0]) >> (8 * (in_order.itemsize - 1))
        inside = (modes > 0) & (modes < 255)
        self._inside.add(ranks, inside)
        self._cut_off.add(ranks, ~inside)

    def best(self) -> Ranking:
        """The rank in most ranges. Raises ValueError where no pixels were added."""
        enough = self._inside.pixels > LEAST_INSIDE * self._cut_off.pixels
        return (self._inside if enough else self._cut_off).best()


class Tally:
    """How many of some pixels' ranges each of `frames` ranks lies in."""

    def __init__(self, frames: int) -> None:
        self._steps = np.zeros(frames + 1, np.int64)
        self.pixels = 0

    def add(self, ranks: tuple[Ranks, Ranks], those: npt.NDArray[np.bool_]) -> None:
        """The ranges that begin and end at `ranks`, where `those` is True."""
        for sign, at in zip((1, -1), ranks, strict=True):
            self._steps += sign * np.bincount(at[those], minlength=len(self._steps))
        self.pixels += int(those.sum())

    def best(self) -> Ranking:
        """The rank in most ranges; of equally good ones the middle, far from rain and from dark outliers.

        Raises ValueError where no pixels were added.
        """
        if not self.pixels:
            raise ValueError("no pixels were counted")
        counts = np.cumsum(self._steps)[:-1]
        equal = np.flatnonzero(counts == counts.max())
        rank = int(equal[(len(equal) - 1) // 2])
        return Ranking(rank, len(counts), float(counts[rank]) / self.pixels)


def find_ranking(parts: Iterable[Samples], frames: int) -> Ranking:
    """Eqs. 2-4 over a picture that comes in `parts`, each (frames, ...) of its pixels."""
    crossings = Crossings(frames)
    for part in parts:
        crossings.add(ordered(part))
    return crossings.best()


def at_rank(frames: Samples, ranking: Ranking) -> Samples:
    """The background: of every pixel the value of that rank, without the first axis."""
    picked: Samples = np.partition(frames, ranking.rank, axis=0)[ranking.rank]
    return picked.copy()  # a view would hold all of what was ordered


def background(frames: Samples) -> tuple[Samples, Ranking]:
    """The background of `frames`, and the rank that it is made of; all in memory."""
    in_order = ordered(frames)
    crossings = Crossings(len(frames))
    crossings.add(in_order)
    ranking = crossings.best()
    return in_order[ranking.rank].copy(), ranking
