"""Frames to calibrate a network on, and others to measure it with: of a folder of pictures, or of a video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels, State
from derain.engines.errors import UsageError
from derain.engines.modelfile import INPUT
from derain.pipeline.images import EXTENSIONS, read_image
from derain.pipeline.source import open_source

SIDE = 512
"""Frames are cut to this many pixels a side at most: ranges of values are the same, and memory is bounded."""
HELD_OUT = 8
"""Frames to measure with, at most: never more than one in four."""
FEWEST = 4


Remembered: TypeAlias = Mapping[str, State]
"""What a recurrent network takes beside a frame, by the names of its inputs."""


@dataclass(frozen=True)
class Chosen:
    """Cuts (H, W, 3) RGB uint8, H and W multiples of what the network takes. `name`: their source's."""

    name: str
    calibration: tuple[Pixels, ...]
    held_out: tuple[Pixels, ...]


def choose(source: Path, frames: int, seed: int, multiple_of: int) -> Chosen:
    """`frames` frames or as many as there are, and others to measure with, drawn by `seed`.

    Raises UsageError where there are fewer than FEWEST, or a picture is too small or can't be read.
    """
    rng = np.random.default_rng(seed)
    draw = of_folder if source.is_dir() else of_video
    cuts = draw(source, frames + HELD_OUT, multiple_of, rng)
    if len(cuts) < FEWEST:
        raise UsageError(f"{source} has {len(cuts)} frames to calibrate on; it takes {FEWEST} and more")
    held = min(HELD_OUT, len(cuts) // 4)
    return Chosen(source.resolve().name, tuple(cuts[held : held + frames]), tuple(cuts[:held]))


def of_folder(folder: Path, wanted: int, multiple_of: int, rng: np.random.Generator) -> list[Pixels]:
    """Cuts of so many pictures of `folder`, or of all, in an order drawn by `rng`."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    drawn = [found[index] for index in rng.permutation(len(found))[:wanted]]
    return [cut(str(path), read_image(path).pixels, multiple_of, rng) for path in drawn]


def of_video(path: Path, wanted: int, multiple_of: int, rng: np.random.Generator) -> list[Pixels]:
    """Cuts of so many frames of the video, or of all, any as likely as another, in an order of `rng`."""
    kept: list[Pixels] = []
    with open_source(path) as source:
        for number, frame in enumerate(source):
            place = number if number < wanted else int(rng.integers(number + 1))
            if place < wanted:
                kept[place : place + 1] = [cut(str(path), frame.pixels, multiple_of, rng)]
    return [kept[index] for index in rng.permutation(len(kept))]


def cut(name: str, pixels: Pixels, multiple_of: int, rng: np.random.Generator) -> Pixels:
    """A part of a picture, (H, W, 3) or (H, W) grey, uint8 or uint16, as `Chosen` has it, placed by `rng`."""
    return np.ascontiguousarray(colours(eight_bits(pixels[place(name, pixels.shape, multiple_of, rng)])))


def place(
    name: str, shape: tuple[int, ...], multiple_of: int, rng: np.random.Generator
) -> tuple[slice, slice]:
    """The rows and columns of the part that is cut from a picture of that shape; UsageError where it is too
    small."""
    height, width = shape[:2]
    sizes = [min(size, SIDE) // multiple_of * multiple_of for size in (height, width)]
    if not all(sizes):
        raise UsageError(
            f"{name} has {width}x{height} pixels; the network takes {multiple_of} a side and more"
        )
    top, left = (
        int(rng.integers(size - kept + 1)) for size, kept in zip((height, width), sizes, strict=True)
    )
    return slice(top, top + sizes[0]), slice(left, left + sizes[1])


def eight_bits(pixels: Pixels) -> Pixels:
    """uint8 of uint8 or uint16."""
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def colours(pixels: Pixels) -> Pixels:
    """(H, W, 3) of that, or of (H, W) grey."""
    return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)


def planes(pixels: Pixels) -> npt.NDArray[np.float32]:
    """(1, 3, H, W) float32 in 0..1 of (H, W, 3) uint8."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis], np.float32) / np.float32(255)


def feeds(frames: Sequence[Pixels], states: Sequence[Remembered]) -> list[dict[str, State]]:
    """What a network's graph takes for each of `frames`, (H, W, 3) uint8, by the names of its inputs."""
    beside = states or [{}] * len(frames)
    return [{INPUT: planes(frame), **taken} for frame, taken in zip(frames, beside, strict=True)]
