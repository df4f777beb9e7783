"""What must stand still for a background to exist: the camera, and the scene. Rain itself is no motion.

Both are looked for in grey pictures made small, at most SIDE pixels long, which also thins the rain.

The camera: corners of a picture with little rain (the median of the first few) are sought in later ones,
forth and back, so that a corner under a streak is not found rather than found elsewhere. Corners stay where
they are under a still camera, also where people walk through the picture; under a moving one few do.

The scene: a pixel differs from its median over time for most of several frames in a row, brighter or darker,
where something moves through or comes and goes. A streak is gone in the next frame; how many frames in a row
rain covers a pixel by chance follows from how often it does, and that many and more are asked for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.background.ranks import Samples

SIDE = 512
REFERENCE, BLOCK = 15, 7
"""Frames at the beginning whose median is the picture that corners are taken from, and those whose median is
one that they are sought in: dense rain makes single pictures seem to move. Faster shaking goes unseen."""
LOOKS = 60
"""Blocks, spread over all frames, that are looked at for the camera."""
CORNERS = 300
FEWEST_CORNERS = 12
"""Fewer of them say nothing about the camera."""
STAY = 1.0
"""Pixels of the small picture up to which a corner counts as still."""
SHAKE = 0.5
"""Pixels of the whole picture by which the still corners may shift together."""
SURELY = 2.0
"""How many times the median distance of the corners from their common shift that shift must be."""
TOGETHER = 0.35
"""Share of the corners found again that stay together under a still camera, though some lie on dense rain."""
ALIKE = 0.6
"""Correlation from which two pictures show the same view."""
MOVED_SHARE = 0.1
"""Share of the blocks looked at that may have moved before the camera counts as moving."""
SHORTEST, LONGEST = 5, 25
"""Frames in a row, of which most must differ."""
BRIEF = 2
"""Frames after which a streak has surely passed."""
CHANCE = 1e-4
"""How often rain may cover most of them by chance."""
LEAST_CHANGE = 12.0
"""Grey levels of 255 that count as a change, or NOISES times the noise where that is more."""
NOISES = 6.0
LEAST_AREA = 2e-4
"""Share of the picture below which a change is no region."""

Mask = npt.NDArray[np.bool_]
"""(H, W), True where the scene moves."""
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Shift:
    """A camera that moves: by about `pixels` of the whole picture, or to where nothing is found again (None),
    at most, first seen about frame `frame` (from 0)."""

    frame: int
    pixels: float | None


@dataclass(frozen=True)
class Region:
    """A part of the picture: columns `left` to `right`, rows `top` to `bottom`, the last included."""

    left: int
    top: int
    right: int
    bottom: int

    def name(self, width: int, height: int) -> str:
        """Where it is in a picture of that size, for people: "upper left, x 120-340, y 40-160"."""
        return f"{place(self, width, height)}, x {self.left}-{self.right}, y {self.top}-{self.bottom}"


def place(region: Region, width: int, height: int) -> str:
    """The ninth of the picture that the region's middle lies in; "whole picture" for nearly all of it."""
    across, down = region.right - region.left + 1, region.bottom - region.top + 1
    if across * down > 0.8 * width * height:
        return "whole picture"
    column = 3 * (region.left + region.right + 1) // (2 * width)
    row = 3 * (region.top + region.bottom + 1) // (2 * height)
    if column == row == 1:
        return "centre"
    side = ("left", "middle", "right")[column]
    return f"{('upper', 'middle', 'lower')[row]} {side}" if row != 1 else f"middle {side}"


class Watch:
    """Keeps the small grey pictures of a sequence: `width` x `height` a frame, 1/`scale` as small a side."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.scale = math.ceil(max(width, height) / SIDE)
        self._small: list[Grey] = []

    def add(self, pixels: Samples) -> None:
        """The next frame, (H, W, 3) RGB uint8 or uint16."""
        eight = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
        size = (max(self.width // self.scale, 1), max(self.height // self.scale, 1))
        grey = cv2.cvtColor(np.ascontiguousarray(eight), cv2.COLOR_RGB2GRAY)
        self._small.append(np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8))

    def camera(self) -> Shift | None:
        """How the camera moves; None where it stands still, or the scene has too few corners to tell."""
        reference = median(np.stack(self._small[:REFERENCE]))
        corners = cv2.goodFeaturesToTrack(reference, CORNERS, 0.01, 5)
        if corners is None or len(corners) < FEWEST_CORNERS:
            return None
        last = max(len(self._small) - BLOCK, 0)
        looked = sorted({*np.linspace(0, last, min(LOOKS, last // 3 + 2)).round().astype(int).tolist()})
        blocks = (median(np.stack(self._small[first : first + BLOCK])) for first in looked)
        found = [
            (first + BLOCK // 2, drift(reference, block, corners, self.scale))
            for first, block in zip(looked, blocks, strict=True)
        ]
        moved = [(index, by) for index, by in found if by is None or by > SHAKE]
        if len(moved) <= MOVED_SHARE * len(looked):
            return None
        known = [by for _, by in moved if by is not None]
        return Shift(min(moved[0][0], len(self._small) - 1), max(known) if known else None)

    def moving(self) -> Mask:
        """(H, W) True where the scene moves, with a margin."""
        frames = np.stack(self._small)
        changed = lasting_changes(frames)
        kept = without_specks(changed)
        margin = max(3, kept.shape[1] // 60) | 1
        wide = cv2.dilate(kept.astype(np.uint8), np.ones((margin, margin), np.uint8))
        whole = cv2.resize(wide, (self.width, self.height), interpolation=cv2.INTER_NEAREST)
        return np.asarray(whole, np.bool_)


def drift(reference: Grey, other: Grey, corners: npt.NDArray[np.float32], scale: int) -> float | None:
    """Pixels of the whole picture by which the picture has moved as a whole.

    None where corners went their own ways, or hardly any was found again in a picture that looks different.
    Zero where corners, of which some lie on rain, disagree too much to tell a small shift.
    """
    there, forth, _ = cv2.calcOpticalFlowPyrLK(reference, other, corners, None)
    back, again, _ = cv2.calcOpticalFlowPyrLK(other, reference, there, None)
    home = np.abs(back - corners).max(axis=(1, 2)) < STAY / 2
    paths = (there - corners)[(forth.ravel() == 1) & (again.ravel() == 1) & home, 0]
    if len(paths) < FEWEST_CORNERS:
        return 0.0 if np.corrcoef(reference.ravel(), other.ravel())[0, 1] > ALIKE else None
    together = np.median(paths, axis=0)
    astray = np.hypot(*(paths - together).T)
    if np.mean(astray < STAY) < TOGETHER:
        return None
    shift = float(np.hypot(*together))
    return shift * scale if shift > SURELY * float(np.median(astray)) else 0.0


def median(frames: Grey) -> Grey:
    """The median of (N, ...) over the first axis, of the two middle ones the darker."""
    return np.asarray(np.partition(frames, (len(frames) - 1) // 2, axis=0)[(len(frames) - 1) // 2], np.uint8)


def lasting_changes(frames: Grey) -> Mask:
    """Where (N, h, w) differ from their median, all brighter or all darker, for most of a row of frames."""
    usual = median(frames).astype(np.int16)
    spread = [float(np.median(np.abs(frame - usual))) for frame in frames]
    least = max(LEAST_CHANGE, NOISES * 1.48 * float(np.median(spread)))
    brighter = frames > usual + least
    darker = frames < usual - least
    row = frames_in_a_row(max(briefly(brighter), briefly(darker)), len(frames))
    changed = np.zeros(frames.shape[1:], np.bool_)
    for part in windows(len(frames), row):
        for marks in (brighter[part], darker[part]):
            changed |= 2 * marks.sum(axis=0, dtype=np.uint16) > row
    return changed


def briefly(marks: Mask) -> float:
    """How often a pixel of (N, h, w) is marked by what comes and goes, 0..0.5: what stays counts little.

    Marks that come by chance, in the share c of the frames, are gone BRIEF frames later c (1 - c) times.
    """
    gone = float(np.median((marks[:-BRIEF] & ~marks[BRIEF:]).mean(axis=0)))
    return (1 - math.sqrt(max(1 - 4 * gone, 0.0))) / 2


def frames_in_a_row(covered: float, frames: int) -> int:
    """Of how many frames rain that covers a pixel in the share `covered` of all hardly ever covers most."""
    longest = min(LONGEST, frames)
    for row in range(SHORTEST, longest, 2):
        if more_than_half(row, covered) < CHANCE:
            return row
    return longest


def more_than_half(trials: int, chance: float) -> float:
    """The probability of more than half of `trials` hits, each of that chance."""
    return sum(
        math.comb(trials, hits) * chance**hits * (1 - chance) ** (trials - hits)
        for hits in range(trials // 2 + 1, trials + 1)
    )


def windows(frames: int, row: int) -> Iterator[slice]:
    """Slices of `row` frames, each a third of that after the one before; the last reaches the end."""
    starts = {*range(0, frames - row + 1, max(row // 3, 1)), frames - row}
    return (slice(start, start + row) for start in sorted(starts))


def without_specks(changed: Mask) -> Mask:
    """`changed` without what is thinner than 3 pixels or smaller than a region."""
    opened = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    joined = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    large = facts[:, cv2.CC_STAT_AREA] >= max(12, LEAST_AREA * changed.size)
    large[0] = False
    return np.asarray(large[labels], np.bool_) if count > 1 else np.zeros_like(changed)


def regions(moving: Mask) -> tuple[Region, ...]:
    """The connected parts of `moving`, the largest first."""
    count, _, facts, _ = cv2.connectedComponentsWithStats(moving.astype(np.uint8), connectivity=8)
    found = [facts[i] for i in range(1, count)]
    found.sort(key=lambda fact: -int(fact[cv2.CC_STAT_AREA]))
    return tuple(Region(int(x), int(y), int(x + w - 1), int(y + h - 1)) for x, y, w, h, _ in found)
