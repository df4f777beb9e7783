"""Test clips with moving content, for measuring without footage."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

RATE = 25
STEP = 6
"""Pixels the picture moves a frame."""


def texture(height: int, width: int, seed: int = 1) -> npt.NDArray[np.uint8]:
    """Noise of many scales, (height, width, 3) RGB: neither trivial nor hopeless to encode."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for scale in (2, 8, 32, 128):
        small = rng.standard_normal((height // scale + 2, width // scale + 2, 3), np.float32)
        total += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) * scale**0.5
    total = 128 + total * (48 / total.std())
    pixels: npt.NDArray[np.uint8] = np.clip(total, 0, 255).astype(np.uint8)
    return pixels


def write_pattern(path: Path, width: int, height: int, frames: int) -> None:
    """Writes an H.264 clip of `frames` frames: a texture that passes by and a box that crosses it."""
    canvas = texture(height + STEP * 16, width + STEP * 32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(moved(canvas, width, height, number), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def moved(canvas: npt.NDArray[np.uint8], width: int, height: int, number: int) -> npt.NDArray[np.uint8]:
    """Frame `number` of the pattern, (height, width, 3)."""
    left, top = STEP * (number % 32), STEP * (number % 16)
    picture = canvas[top : top + height, left : left + width].copy()
    box = max(height // 8, 1)
    at = (number * STEP * 2) % max(width - box, 1)
    picture[height // 2 : height // 2 + box, at : at + box] = (230, 60, 40)
    return picture
