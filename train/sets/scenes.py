"""The same scene in two sets, however it was scaled, coded, flipped or cropped by a tenth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError, UsageError
from derain.train.datasets import RGB, read_clean
from derain.train.sets.layouts import DEEPEST, ENDINGS, Pair, Problem, folders_in, pictures_in, read_sets

Plane: TypeAlias = npt.NDArray[np.float32]

SIDE = 64
"""Pixels of a thumbnail's sides."""
CROP = 0.1
"""Share of the sides that the cropped hashes leave out."""
NEAR = 16
"""Bits of 64 by which the hashes of one scene may differ. Of two scenes' hashes one in 400 does."""
SAME = 0.6
"""Correlation of the thumbnails' details from which on two pictures are of one scene. Measured on 409
photographs: 0.50 at most between two scenes, 0.70 at least between a scene and what was made of it."""
MARGIN = 8
SCALES = (0.86, 0.9, 0.95, 1.0, 1.05, 1.1, 1.16, 1.22, 1.28)
TURNS = (("as it is", None), ("mirrored", 1), ("upside down", 0), ("turned by half", -1))
"""(what it is called, cv2.flip's code)."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture: `hashes` (TURNS, 6) uint64, whole and five crops in each turn, and
    `details` (SIDE, SIDE) float32, its thumbnail less the coarse."""

    name: str
    hashes: npt.NDArray[np.uint64]
    details: Plane


@dataclass(frozen=True)
class Same:
    """Two pictures of one scene: names in either set, how `b` is turned, and how sure it is (0.6..1)."""

    a: str
    b: str
    turned: str
    correlation: float


def fingerprint(name: str, picture: RGB) -> Fingerprint:
    """The fingerprint of an (H, W, 3) picture of any size."""
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    small = resized(grey, 3 * SIDE)
    hashes = [[phash(part) for part in crops(turned(small, code))] for _, code in TURNS]
    return Fingerprint(name, np.array(hashes, np.uint64), details(grey))


def resized(plane: Plane, side: int) -> Plane:
    return np.asarray(cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def turned(plane: Plane, code: int | None) -> Plane:
    return plane if code is None else np.asarray(cv2.flip(plane, code), np.float32)


def crops(plane: Plane) -> Iterator[Plane]:
    """The whole, its middle, and its four corners, each without CROP of the sides."""
    yield plane
    side = plane.shape[0]
    kept = round(side * (1 - CROP))
    rest = side - kept
    for y, x in ((rest // 2, rest // 2), (0, 0), (0, rest), (rest, 0), (rest, rest)):
        yield plane[y : y + kept, x : x + kept]


def phash(plane: Plane) -> int:
    """63 bits: which of the 8x8 lowest cosine waves, less the mean's, are stronger than their median."""
    waves = np.asarray(cv2.dct(resized(plane, 32)), np.float32)[:8, :8].ravel()[1:]
    bits = waves > np.median(waves)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def details(grey: Plane) -> Plane:
    """A thumbnail less its coarse light and dark, which many scenes share: sky above, ground below."""
    small = resized(grey, SIDE)
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), SIDE / 16), np.float32)


def correlation(a: Plane, b: Plane) -> float:
    """The best correlation of the middle of `a` with any place of `b`, at any of SCALES; -1..1."""
    middle = a[MARGIN:-MARGIN, MARGIN:-MARGIN]
    if middle.std() < 0.1 or b.std() < 0.1:
        return 0.0  # flat pictures are all alike
    best = -1.0
    for scale in SCALES:
        side = round(middle.shape[0] * scale)
        template = cv2.resize(middle, (side, side), interpolation=cv2.INTER_LINEAR)
        best = max(best, float(cv2.matchTemplate(b, template, cv2.TM_CCOEFF_NORMED).max()))
    return best


def same_scenes(a: Sequence[Fingerprint], b: Sequence[Fingerprint]) -> list[Same]:
    """Every pair of a picture in `a` and one in `b` that show one scene, in the order of `a`."""
    if not a or not b:
        return []
    hashes = np.stack([one.hashes for one in b])
    return [same for one in a for same in alike(one, b, hashes)]


def alike(one: Fingerprint, others: Sequence[Fingerprint], hashes: npt.NDArray[np.uint64]) -> list[Same]:
    """Those of `others` that show the scene of `one`; `hashes` are theirs, (len(others), TURNS, 6)."""
    upright = one.hashes[0]
    whole = np.bitwise_count(hashes ^ upright[0]).min(axis=2)
    cropped = np.bitwise_count(hashes[:, :, :1] ^ upright).min(axis=2)
    found: dict[int, Same] = {}
    for index, turn in np.argwhere(np.minimum(whole, cropped) <= NEAR):
        (name, code), other = TURNS[turn], others[index]
        sure = correlation(one.details, turned(other.details, code))
        if sure >= SAME and (index not in found or sure > found[index].correlation):
            found[index] = Same(one.name, other.name, name, round(min(sure, 1.0), 3))
    return list(found.values())


def clean_pictures(folder: Path) -> tuple[tuple[Pair, ...], tuple[Problem, ...]]:
    """The clean pictures of a paired set, or all the pictures in and below a folder of photographs, each as a
    pair; and what is wrong with the set's names. UsageError where there is no picture."""
    try:
        sets = read_sets(folder)
    except UsageError:
        if not folder.is_dir():
            raise
        return photographs(folder), ()
    once: dict[Path, Pair] = {}
    for pair in (pair for one in sets for pair in one.pairs):
        once.setdefault(pair.clean, pair)
    return tuple(once.values()), tuple(p for one in sets for p in one.problems)


def photographs(folder: Path) -> tuple[Pair, ...]:
    """All the pictures in and below `folder`; UsageError where there are none."""
    found = list(below(folder))
    if not found:
        raise UsageError(f"{folder} has no pictures ({' '.join(ENDINGS)})")
    return tuple(Pair(p.relative_to(folder).as_posix(), p, p) for p in found)


def below(folder: Path, deep: int = 0) -> Iterator[Path]:
    yield from pictures_in(folder)
    for child in folders_in(folder) if deep < DEEPEST else ():
        yield from below(child, deep + 1)


def fingerprint_of(pair: Pair) -> Fingerprint | Problem:
    """Of the pair's clean picture, or why it can't be read."""
    try:
        return fingerprint(pair.name, read_clean(pair))
    except DerainError as error:
        return Problem(pair.name, "unreadable", str(error))
