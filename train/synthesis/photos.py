"""Photographs looked at before rain is made on them: all that is wrong with any of them is told at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.images import FORMATS
from derain.train.datasets import read_rgb
from derain.train.whole_folder import sha256_of

log = logging.getLogger(__name__)

MOST_TOLD = 10
"""Bad photographs that one sentence names with their reasons."""


@dataclass(frozen=True)
class Photo:
    """A readable photograph: sha256 of the file, size in pixels as it is shown."""

    sha256: str
    height: int
    width: int


def check_photos(paths: Sequence[Path], smallest: int) -> dict[Path, Photo]:
    """Decodes every photograph once. UsageError names all that can't be read or have a side of less than
    `smallest` pixels, each with its reason; warns of what is lost in 8-bit RGB."""
    photos: dict[Path, Photo] = {}
    wrong: list[str] = []
    for path in dict.fromkeys(paths):
        try:
            photos[path] = look_at(path, smallest)
        except DerainError as error:
            wrong.append(str(error))
        except OSError as error:
            wrong.append(f"{path} can't be read: {(error.strerror or str(error)).lower()}")
    if wrong:
        more = f"; and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
        raise UsageError("; ".join(wrong[:MOST_TOLD]) + more)
    return photos


def look_at(path: Path, smallest: int) -> Photo:
    """One photograph. Raises DerainError where it is broken or small, OSError where it can't be opened."""
    tell_what_is_lost(path)
    height, width = read_rgb(path).shape[:2]
    if min(height, width) < smallest:
        raise DerainError(f"{path} is {width}x{height} pixels; rain needs {smallest}x{smallest} and more")
    return Photo(sha256_of(path), height, width)


def tell_what_is_lost(path: Path) -> None:
    """Warns of alpha and of more than 8 bits; DerainError where the header tells of a broken file."""
    data = path.read_bytes()
    known = next((known for known in FORMATS if known.begins(data[:16])), None)
    if known is None:
        return
    try:
        header = known.inspect(data)
    except DerainError as error:
        raise DerainError(f"{path} {error}") from error
    if header.channels in (2, 4):
        log.warning("%s is transparent; its colours are taken as if it were not", path)
    if header.bits > 8:
        log.warning("%s has %d bits a sample; 8 of them are used", path, header.bits)
