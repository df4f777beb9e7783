"""Moving pictures for the benchmark set: the beginning of a clean clip, small, with its own times."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.train.synthesis.video import open_clean

FRAMES = 30
MOST_WIDE = 480
DEFAULTS = ("vtest.avi", "solidWhiteRight.mp4", "bikes.mp4")
"""Clips that are taken from `clips` in the data folder where none is named."""


@dataclass(frozen=True)
class Clip:
    """Pictures (H, W, 3) uint8 RGB, upright, and the seconds of each since the first."""

    pictures: tuple[Pixels, ...]
    times: tuple[float, ...]


def default_clips(data: Path) -> tuple[Path, ...]:
    """Those of DEFAULTS that the data folder has."""
    return tuple(path for path in (data / "clips" / name for name in DEFAULTS) if path.is_file())


def read_clip(path: Path, frames: int = FRAMES, most_wide: int = MOST_WIDE) -> Clip:
    """The first `frames` pictures, `most_wide` pixels wide at most. UsageError where it is no moving clip."""
    with open_clean(path) as source:
        turns, base = source.info.rotation // 90, source.info.time_base
        taken = [
            (frame.pts or 0, shrunk(np.rot90(frame.pixels, turns), most_wide))
            for frame in islice(source, frames)
        ]
    if len(taken) < 2:
        raise UsageError(f"{path} has {len(taken)} pictures; a moving clip needs 2 and more")
    first = taken[0][0]
    return Clip(tuple(picture for _, picture in taken), tuple(float((t - first) * base) for t, _ in taken))


def shrunk(pixels: Pixels, most_wide: int) -> Pixels:
    """8 bits, and `most_wide` pixels wide where it was wider."""
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / np.float32(257)).astype(np.uint8)
    height, width = pixels.shape[:2]
    if width <= most_wide:
        return np.ascontiguousarray(pixels)
    size = (most_wide, max(1, round(height * most_wide / width)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
