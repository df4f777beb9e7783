"""The picture that stands for a camera while it is away."""

import cv2
import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.sinks.coder import fitted

FONT = cv2.FONT_HERSHEY_SIMPLEX
LEFT_OF_LIGHT = 0.35
"""How light the last picture is below the words."""


def stub(last: Pixels | None, size: tuple[int, int], camera: str, seconds: float) -> Pixels:
    """(H, W, 3) uint8 of `size` (width, height): the last good picture without colours, dark, and since when
    there has been none; all grey where there was never one."""
    if last is None:
        picture: Pixels = np.full((size[1], size[0], 3), 48, np.uint8)
    else:
        grey = cv2.cvtColor(fitted(last, size), cv2.COLOR_RGB2GRAY)
        picture = cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=LEFT_OF_LIGHT), cv2.COLOR_GRAY2RGB)
    for row, words in enumerate((camera, f"no picture for {in_words(seconds)}")):
        write(picture, words, 0.45 + 0.14 * row)
    return picture


def in_words(seconds: float) -> str:
    """0:07, 12:30, 3:00:00."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def write(picture: Pixels, words: str, down: float) -> None:
    """Words in the middle of a row, `down` of the height from the top, as large as fits."""
    height, width = picture.shape[:2]
    (wide, high), _ = cv2.getTextSize(words, FONT, 1.0, 1)
    scale = min(0.9 * width / max(1, wide), 0.09 * height / max(1, high))
    thick = max(1, round(scale * 1.5))
    place = (round((width - wide * scale) / 2), round(height * down))
    cv2.putText(picture, words, place, FONT, scale, (235, 235, 235), thick, cv2.LINE_AA)
