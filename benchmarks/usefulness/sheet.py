"""A picture of what was found: rainy, restored and clean side by side."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from derain.benchmarks.usefulness.views import RGB
from derain.engines.errors import DerainError

WIDTH = 480
"""Of each picture on the sheet."""
BAR = 22
"""Height of the line of text above a row."""
VIEWS = ("rainy", "restored", "clean")


def shrunk(pictures: Sequence[RGB]) -> list[RGB]:
    """The pictures WIDTH pixels wide."""
    return [
        np.asarray(
            cv2.resize(
                one, (WIDTH, max(1, round(one.shape[0] * WIDTH / one.shape[1]))), interpolation=cv2.INTER_AREA
            )
        )
        for one in pictures
    ]


def write_sheet(path: Path, strips: Sequence[tuple[str, Sequence[RGB]]]) -> None:
    """Writes a PNG of rows, each a line of text and three pictures as `shrunk` gives. Raises DerainError."""
    rows = [row(text, pictures) for text, pictures in strips if pictures]
    if not rows:
        raise DerainError(f"there is nothing to draw on {path.name}: no watcher has found anything")
    _, coded = cv2.imencode(".png", np.ascontiguousarray(np.concatenate(rows)[..., ::-1]))
    save(path, coded.tobytes())


def row(text: str, pictures: Sequence[RGB]) -> RGB:
    """(BAR + H, 3 WIDTH, 3): the text, the names of the views, and the pictures."""
    bar = np.zeros((BAR, WIDTH * len(pictures), 3), np.uint8)
    for column, view in enumerate(VIEWS):
        words = f"{view} - {text}" if column == 0 else view
        cv2.putText(bar, words, (6 + column * WIDTH, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1)
    return np.concatenate([bar, np.concatenate(list(pictures), axis=1)])


def save(path: Path, data: bytes) -> None:
    """Writes a file; DerainError says why it can't be."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error
