"""Rainy, clean and mask as they are written, and what they hash to."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derain.engines.engine import Pixels
from derain.train.degradations.compose import Made
from derain.train.degradations.rain import Map, Picture
from derain.train.degradations.sidecar import Fingerprint
from derain.train.whole_folder import write_png

FOLDERS = ("rainy", "clean", "mask")
"""The folders of a paired set, in the order of Twins."""


@dataclass(frozen=True)
class Twins:
    """One picture three times: `rainy` and `clean` (H, W, 3) RGB, `mask` (H, W), all uint8 or uint16."""

    rainy: Pixels
    clean: Pixels
    mask: Pixels


def to_pixels(picture: Picture | Map, dtype: Any = np.uint8) -> Pixels:
    """0..1 in whole numbers of an unsigned type, over its full range; `to_picture` undone exactly."""
    whole = np.rint(np.clip(picture, 0, 1) * np.float32(np.iinfo(dtype).max))
    return np.asarray(whole, dtype)


def to_picture(pixels: Pixels) -> Picture:
    """(H, W, 3) float32 in 0..1 of uint8 or uint16."""
    return np.asarray(pixels, np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def twins_of(made: Made, mask: Map, dtype: Any = np.uint8) -> Twins:
    """What is written of a picture with rain made on it and of its mask."""
    return Twins(to_pixels(made.rainy.image, dtype), to_pixels(made.clean, dtype), to_pixels(mask, dtype))


def make_folders(folder: Path) -> None:
    """FOLDERS in `folder`, which is made where it is not there."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)


def write_twins(folder: Path, name: str, twins: Twins) -> None:
    """PNGs called `name` in the FOLDERS of `folder`."""
    for kind, pixels in zip(FOLDERS, (twins.rainy, twins.clean, twins.mask), strict=True):
        write_png(folder / kind / f"{name}.png", pixels)


class Tally:
    """Fingerprint of all pictures, one after another."""

    def __init__(self) -> None:
        self._hashes = [hashlib.sha256() for _ in FOLDERS]
        self._sum = self._range = 0

    def add(self, twins: Twins) -> None:
        """The next picture."""
        for tally, pixels in zip(self._hashes, (twins.rainy, twins.clean, twins.mask), strict=True):
            tally.update(np.ascontiguousarray(pixels).data)
        self._sum += int(twins.rainy.sum(dtype=np.uint64))
        self._range += int(np.iinfo(twins.rainy.dtype).max) * twins.rainy.size

    def total(self) -> Fingerprint:
        """That of those added so far, one at least."""
        rainy, clean, mask = (tally.hexdigest() for tally in self._hashes)
        return Fingerprint(rainy, clean, mask, 255 * self._sum / self._range)
