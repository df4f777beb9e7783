"""What is wrong with the pairs of a set: all of it, by name."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from derain.engines.errors import DerainError
from derain.pipeline.images import FORMATS
from derain.train.datasets import RGB, read_pair, read_rgb
from derain.train.sets.alignment import Alignment, align
from derain.train.sets.layouts import Pair, Problem

FARTHEST = 2.0
"""Pixels by which a pair may be off."""
CLEAR = 20.0
"""A peak of so many standard deviations is a shift; the largest seen of two unlike pictures is 12."""
UNLIKE = 0.5
"""Two thumbnails that correlate less, and share no peak, are of different scenes."""


def check_pairs(pairs: Iterable[Pair]) -> list[Problem]:
    """Reads every pair and says what is wrong: missing, damaged or unreadable files, pairs of two sizes and
    those that are shifted by more than FARTHEST pixels or show two scenes. One pair at a time is held."""
    return [problem for pair in pairs for problem in problems_of(pair)]


def problems_of(pair: Pair) -> Iterator[Problem]:
    """What is wrong with one pair."""
    broken = [
        Problem(pair.name, "unreadable", why)
        for path in dict.fromkeys((pair.rainy, pair.clean))
        if (why := damage(path))
    ]
    if broken:
        yield from broken
        return
    try:
        rainy, clean = read_pair(pair)
    except DerainError as error:
        yield Problem(pair.name, "size", str(error))
        return
    yield from misaligned(pair.name, rainy, clean)


def damage(path: Path) -> str:
    """Why a picture can't be read or is not whole, "" where it can and is."""
    try:
        data = path.read_bytes()
        for known in FORMATS:
            if known.begins(data[:16]):
                known.inspect(data)  # OpenCV reads the beginning of a truncated picture and fills in grey
        read_rgb(path)
    except OSError as error:
        return f"{path} can't be read: {(error.strerror or str(error)).lower()}"
    except DerainError as error:
        return str(error) if str(path) in str(error) else f"{path} {error}"
    return ""


def misaligned(name: str, rainy: RGB, clean: RGB) -> Iterator[Problem]:
    """The problem of two pictures that are shifted or of two scenes, if they are."""
    found = align(rainy, clean)
    if found is None:
        return
    if found.peak >= CLEAR and math.hypot(found.dx, found.dy) > FARTHEST:
        text = f"the rainy picture lies {direction(found)} of where the clean one does"
        yield Problem(name, "misaligned", text)
    elif found.peak < CLEAR and found.likeness < UNLIKE:
        yield Problem(name, "misaligned", "rainy and clean show different scenes")


def direction(found: Alignment) -> str:
    """A shift in words: "3.0 pixels right and 1.0 up"."""
    across = f"{abs(found.dx):.1f} pixels {'right' if found.dx > 0 else 'left'}"
    return f"{across} and {abs(found.dy):.1f} {'down' if found.dy > 0 else 'up'}"
