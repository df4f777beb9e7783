"""A clip three times over: clean, with rain of our own, and that restored, frame by frame."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.frame import Frame
from derain.pipeline.source import Source, open_source
from derain.train.degradations.compose import Shot, make
from derain.train.degradations.presets import PRESETS, preset

RGB: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) RGB uint8, display-referred."""

NO_RAIN = "none"
"""What to call for in place of a preset to see what the network does to a dry clip."""


@dataclass(frozen=True)
class Take:
    """Every `every`-th frame of a clip, `frames` of them at most, at `size` (width, height) or its own."""

    clip: Path
    frames: int
    every: int = 1
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Views:
    """One moment, (H, W, 3) uint8 each: `clean` (the dry twin, in the same light), `rainy`, `restored`."""

    clean: RGB
    rainy: RGB
    restored: RGB

    def named(self) -> tuple[tuple[str, RGB], ...]:
        """Each with its name, in the order of the tables."""
        return ("clean", self.clean), ("rainy", self.rainy), ("restored", self.restored)


def check_rain(name: str) -> str:
    """`name` where it is a preset or NO_RAIN; UsageError lists what there is."""
    if name != NO_RAIN and name not in (one.name for one in PRESETS):
        names = ", ".join([NO_RAIN, *(one.name for one in PRESETS)])
        raise UsageError(f"there is no rain {name!r}; there is {names}")
    return name


def shot_of(rain: str, seed: int, height: int, width: int) -> Shot:
    """The shot that the preset `rain` draws with `seed` for that size; an empty one for NO_RAIN."""
    if rain == NO_RAIN:
        return Shot(())
    return preset(rain).sample(np.random.default_rng(seed), height, width)


def views(take: Take, rain: str, seed: int, restore: Callable[[RGB], RGB]) -> Iterator[Views]:
    """The clip's frames with the rain `rain` (a preset or NO_RAIN) and restored; one at a time is held.

    The rain's time is the frame's own, from the first one on. Raises UsageError for a file that is no video
    and DerainError for a frame without a time.
    """
    shot: Shot | None = None
    with open_source(take.clip) as source:
        for seconds, clean in pictures(source, take):
            shot = shot or shot_of(rain, seed, *clean.shape[:2])
            made = make(np.asarray(clean, np.float32) / np.float32(255), shot, seconds)
            rainy = pixels(made.rainy.image)
            yield Views(pixels(made.clean), rainy, restore(rainy))


def pictures(source: Source, take: Take) -> Iterator[tuple[float, RGB]]:
    """Seconds since the first frame and the picture of each frame taken."""
    began: float | None = None
    for number, frame in enumerate(source):
        if number >= take.frames * take.every:
            return
        if number % take.every:
            continue
        time = time_of(frame, take.clip)
        began = time if began is None else began
        yield time - began, sized(eight_bits(frame), take.size)


def time_of(frame: Frame, clip: Path) -> float:
    """Seconds; DerainError where the frame has no time."""
    if frame.time is None:
        raise DerainError(f"{clip} has a frame without a time, and rain falls by the clock; remux it first")
    return frame.time


def eight_bits(frame: Frame) -> RGB:
    """(H, W, 3) uint8; of deeper pictures the upper eight bits, since detectors take no more."""
    if frame.pixels.dtype == np.uint16:
        return (frame.pixels >> 8).astype(np.uint8)
    return frame.pixels.astype(np.uint8, copy=False)


def sized(picture: RGB, size: tuple[int, int] | None) -> RGB:
    """The picture at (width, height), by areas where that is smaller."""
    if size is None or size == (picture.shape[1], picture.shape[0]):
        return picture
    smaller = size[0] < picture.shape[1]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC))


def pixels(picture: npt.NDArray[np.float32]) -> RGB:
    """(H, W, 3) float32 in 0..1 as uint8, rounded."""
    return np.asarray((np.clip(picture, 0, 1) * 255).round(), np.uint8)
