"""Pictures on disk: clean photographs to make rain on, and paired sets to measure on. No torch in here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError, UsageError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
LAYOUTS = (("rainy", "clean"), ("input", "target"))


def pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures directly in `folder`, sorted by name; UsageError where it is no folder or has none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    found = tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS))
    if not found:
        raise UsageError(f"{folder} has no pictures ({' '.join(ENDINGS)})")
    return found


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; DerainError names a file that can't be read."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise DerainError(f"{path} is not a picture that OpenCV reads")
    return np.asarray(image, np.uint8)


@dataclass(frozen=True)
class Pair:
    """A rainy picture's file and its clean twin's."""

    name: str
    rainy: Path
    clean: Path


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """Pairs of `folder`/rainy and `folder`/clean (or input and target), matched by name without ending.

    Raises UsageError for another layout, and one that names every picture without a twin.
    """
    for rainy, clean in LAYOUTS:
        if (folder / rainy).is_dir() and (folder / clean).is_dir():
            return match(pictures(folder / rainy), pictures(folder / clean))
    expected = " or ".join(f"{rainy}/ and {clean}/" for rainy, clean in LAYOUTS)
    raise UsageError(f"{folder} is not a set of pairs: it needs {expected} inside")


def match(rainy: Sequence[Path], clean: Sequence[Path]) -> tuple[Pair, ...]:
    """Pairs by file name without ending; UsageError lists all that lack a twin."""
    left, right = {p.stem: p for p in rainy}, {p.stem: p for p in clean}
    alone = sorted(left.keys() ^ right.keys())
    if alone:
        raise UsageError(
            f"{len(alone)} pictures of {rainy[0].parent.parent} have no twin: {', '.join(alone)}"
        )
    return tuple(Pair(stem, left[stem], right[stem]) for stem in sorted(left))


def split(paths: Sequence[Path], every: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(training, held out): every `every`-th picture is held out, counted from the first."""
    return (
        tuple(p for i, p in enumerate(paths) if i % every),
        tuple(p for i, p in enumerate(paths) if i % every == 0),
    )
