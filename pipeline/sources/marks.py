"""A frame number and a time written into a picture as black and white blocks, which a program reads back
exactly after H.264, MJPEG, a network, or another size.

The mark stands at the top of both halves of the picture, so that a picture joined of two halves tells of each
which frame it is: 16 x 4 blocks, each 1/32 of the width; row by row 24 bits of the number, 32 of the time in
milliseconds and 8 to check them.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels

COLUMNS, ROWS = 16, 4
NUMBER_BITS, TIME_BITS, CHECK_BITS = 24, 32, 8
BLACK, WHITE = 16, 235
LEAST = 5
"""Pixels that a block is high at least; 1/48 of the height where that is more."""
TURN = 2**TIME_BITS
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Mark:
    """What is written: a frame number up to 2**24 - 1, and milliseconds, which begin anew after 49 days."""

    number: int
    milliseconds: int

    def age(self, now: float) -> float:
        """Seconds from the mark to `now` on the same clock, `time.monotonic()`."""
        return float((round(now * 1000) - self.milliseconds) % TURN) / 1000


def mark_at(number: int, now: float) -> Mark:
    """The mark of a frame at `now`, seconds of `time.monotonic()`."""
    return Mark(number % 2**NUMBER_BITS, round(now * 1000) % TURN)


def marked_height(height: int) -> int:
    """Rows of a picture that the mark takes."""
    return round(ROWS * max(height / 48, LEAST))


def burn(pixels: Pixels, mark: Mark) -> None:
    """Writes `mark` into `pixels`, (H, W, 3) RGB uint8, of at least 160x40 for it to be read again."""
    height, width = pixels.shape[:2]
    bits = bits_of(mark).reshape(ROWS, COLUMNS)
    rows = np.arange(marked_height(height)) * ROWS // marked_height(height)
    columns = np.arange(width) * 2 * COLUMNS // width % COLUMNS
    blocks = np.where(bits, WHITE, BLACK).astype(np.uint8)
    pixels[: len(rows)] = blocks[np.ix_(rows, columns)][: len(pixels), :, None]


def read(pixels: Pixels, half: str = "left", height: int | None = None) -> Mark | None:
    """The mark in one half ("left" or "right") of a picture, (H, W, 3) RGB or (H, W) grey; None where there
    is none that can be read. `height`: of the picture it was burned into, where this one has another size."""
    columns = (0 if half == "left" else COLUMNS) + np.arange(COLUMNS)
    grey = pixels if pixels.ndim == 2 else pixels[..., :3] @ np.array(LUMA)
    high = marked_height(height or len(pixels)) * len(pixels) / (height or len(pixels)) / ROWS
    wide = grey.shape[1] / (2 * COLUMNS)
    means = np.array(
        [[_middle(grey, row * high, high, column * wide, wide) for column in columns] for row in range(ROWS)]
    )
    bits = (means > (means.min() + means.max()) / 2).ravel()
    mark = Mark(_number(bits[:NUMBER_BITS]), _number(bits[NUMBER_BITS : NUMBER_BITS + TIME_BITS]))
    return mark if np.array_equal(bits_of(mark), bits) else None


def _middle(grey: npt.NDArray[Any], top: float, high: float, left: float, wide: float) -> float:
    """The mean of a block without its borders."""
    first, x = int(top + high / 4), int(left + wide / 4)
    rows = slice(first, max(first + 1, int(top + 0.75 * high)))
    return float(np.mean(grey[rows, x : max(x + 1, int(left + 0.75 * wide))]))


def bits_of(mark: Mark) -> npt.NDArray[np.bool_]:
    """The 64 bits of a mark, its check with them."""
    data = mark.number << TIME_BITS | mark.milliseconds
    check = zlib.crc32(data.to_bytes(7, "big")) & (2**CHECK_BITS - 1)
    whole = (data << CHECK_BITS | check).to_bytes(8, "big")
    return np.unpackbits(np.frombuffer(whole, np.uint8)).astype(bool)


def _number(bits: npt.NDArray[np.bool_]) -> int:
    return int("".join("1" if bit else "0" for bit in bits), 2)
