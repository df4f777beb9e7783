"""Pictures on disk: clean photographs to make rain on, and paired sets. No torch in here."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.images import FORMATS
from derain.train.sets.layouts import ALONE, ENDINGS, Pair, Problem, pictures_in, read_sets

__all__ = ["ENDINGS", "Pair", "pictures", "read_clean", "read_pair", "read_pairs", "read_rgb", "split"]

RGB: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

MOST_NAMES = 20
"""How many names a sentence takes; `derain datasets check` tells them all."""


def pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures directly in `folder`, sorted by name; UsageError where it is no folder or has none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    found = pictures_in(folder)
    if not found:
        raise UsageError(f"{folder} has no pictures ({' '.join(ENDINGS)})")
    return found


def read_rgb(path: Path) -> RGB:
    """(H, W, 3) uint8 RGB; DerainError names a file that can't be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DerainError(f"{path} can't be read: {(error.strerror or str(error)).lower()}") from error
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    except cv2.error as error:
        raise DerainError(f"{path} is not a picture that OpenCV reads: {error.err}") from error
    if image is None:
        raise DerainError(f"{path} is not a picture that OpenCV reads")
    return np.asarray(image, np.uint8)


def size_on_disk(path: Path) -> tuple[int, int]:
    """(width, height) from the file's header; DerainError names a file that can't be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DerainError(f"{path} can't be read: {(error.strerror or str(error)).lower()}") from error
    for known in FORMATS:
        if known.begins(data[:16]):
            header = known.inspect(data)
            return header.width, header.height
    picture = read_rgb(path)
    return picture.shape[1], picture.shape[0]


def size_of(picture: RGB) -> str:
    """WIDTHxHEIGHT."""
    return f"{picture.shape[1]}x{picture.shape[0]}"


def read_pair(pair: Pair) -> tuple[RGB, RGB]:
    """(rainy, clean) of one size; DerainError names a pair whose files can't be read or differ in size."""
    if pair.halves:
        return halves(pair)
    rainy, clean = read_rgb(pair.rainy), read_rgb(pair.clean)
    if rainy.shape != clean.shape:
        raise DerainError(
            f"the pair {pair.name} has different sizes: rainy {size_of(rainy)}, clean {size_of(clean)}"
        )
    return rainy, clean


def read_clean(pair: Pair) -> RGB:
    """The clean picture alone."""
    return halves(pair)[1] if pair.halves else read_rgb(pair.clean)


def halves(pair: Pair) -> tuple[RGB, RGB]:
    """(rainy, clean) of a picture that holds both; DerainError where its width is odd."""
    both = read_rgb(pair.rainy)
    if both.shape[1] % 2:
        raise DerainError(f"the pair {pair.name} lies side by side in {size_of(both)}, which has no middle")
    middle = both.shape[1] // 2
    return np.ascontiguousarray(both[:, :middle]), np.ascontiguousarray(both[:, middle:])


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """The pairs of a set in any layout of train/layouts.py, or of all the sets in `folder`, whose names then
    say split or density.

    Raises UsageError where there are none, and one that names the pictures that have no twin or no layout.
    """
    sets = read_sets(folder)
    if problems := [problem for one in sets for problem in one.problems]:
        raise UsageError(told(folder, problems))
    return tuple(pair for one in sets for pair in one.pairs)


def told(folder: Path, problems: Sequence[Problem]) -> str:
    """The problems of a set's names in one sentence."""
    groups: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        groups[problem.text].append(problem.name)
    parts = []
    for text, names in groups.items():
        picture = "1 picture" if len(names) == 1 else f"{len(names)} pictures"
        have = "has" if len(names) == 1 else "have"
        who = f"{picture} of {folder} {have}" if text == ALONE else f"{folder} has"
        parts.append(f"{who} {text}: {short(names)}")
    return "; ".join(parts)


def short(names: Sequence[str]) -> str:
    """Names with commas; of very many the first, and where all are told."""
    names = sorted(names)
    more = len(names) - MOST_NAMES
    tail = f" and {more} more, which derain datasets check names" if more > 0 else ""
    return ", ".join(names[:MOST_NAMES]) + tail


def split(paths: Sequence[Path], every: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(training, held out): every `every`-th picture is held out, counted from the first."""
    return (
        tuple(p for i, p in enumerate(paths) if i % every),
        tuple(p for i, p in enumerate(paths) if i % every == 0),
    )
