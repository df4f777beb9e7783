"""Frames in a row to calibrate a network on, and others to measure it with: what one that remembers needs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.pipeline.continuity import Continuity, Thumbnail, is_cut, thumbnail
from derain.pipeline.frame import Frame
from derain.pipeline.images import EXTENSIONS, read_image
from derain.pipeline.source import open_source
from derain.train.calibration import choose, colours, eight_bits, place

Clip: TypeAlias = tuple[Pixels, ...]
"""Frames in a row of one scene, (H, W, 3) RGB uint8, cut at one place; a picture is a clip of one."""

LENGTH = 9
"""Frames of a clip at most: the first finds nothing remembered, the others are calibrated on."""
SHORTEST = 4
"""Fewer that look alike may be so by chance."""
HELD_OUT = 2
"""Clips to measure with, at most: never more than one in four, unless there are but few."""


@dataclass(frozen=True)
class Clips:
    """`name`: their source's."""

    name: str
    calibration: tuple[Clip, ...]
    held_out: tuple[Clip, ...]

    @property
    def told(self) -> str:
        """What is calibrated on, in words."""
        count = sum(len(remembering(clip)) for clip in self.calibration)
        if max(map(len, self.calibration)) == 1:
            return f"{count} frames of {self.name}"
        several = len(self.calibration)
        return f"{count} frames in {several} row{'s' * (several > 1)} of {self.name}"


def remembering(clip: Clip) -> Clip:
    """The frames whose network remembers some before them; all of a clip of one, which never will."""
    return clip[1:] or clip


def choose_clips(source: Path, frames: int, seed: int, multiple_of: int, recurrent: bool) -> Clips:
    """About `frames` frames of `source`, a folder or a video, to calibrate on, and others to measure with,
    drawn by `seed`; in a row for a network that is `recurrent`, else each alone.

    Raises UsageError where there are too few, or a picture is too small or can't be read.
    """
    if not recurrent:
        chosen = choose(source, frames, seed, multiple_of)
        alone = [tuple((frame,) for frame in part) for part in (chosen.calibration, chosen.held_out)]
        return Clips(chosen.name, *alone)
    rng = np.random.default_rng(seed)
    wanted = -(-frames // (LENGTH - 1)) + HELD_OUT
    place_in = partial(place, multiple_of=multiple_of, rng=rng)
    found = draw(rows(source, place_in), wanted, rng)
    if len(found) < 2:
        raise UsageError(
            f"{source} has no two rows of frames that follow one another, and a network that remembers is "
            f"calibrated on them; give a video, or a folder of its numbered frames, of {2 * LENGTH} and more"
        )
    held = min(HELD_OUT, max(1, len(found) // 4))
    return Clips(source.resolve().name, tuple(found[held:]), tuple(found[:held]))


def draw(clips: Iterable[Clip], wanted: int, rng: np.random.Generator) -> list[Clip]:
    """So many of the clips, or all, any as likely as another, in an order of `rng`."""
    kept: list[Clip] = []
    for number, clip in enumerate(clips):
        spot = number if number < wanted else int(rng.integers(number + 1))
        if spot < wanted:
            kept[spot : spot + 1] = [clip]
    return [kept[index] for index in rng.permutation(len(kept))]


Place: TypeAlias = Callable[[str, tuple[int, ...]], tuple[slice, slice]]
"""Where a picture of that name and shape is cut."""


def rows(source: Path, place_in: Place) -> Iterator[Clip]:
    """Its frames, cut, in rows of SHORTEST to LENGTH that go on from frame to frame."""
    goes_on, row = Going(), list[Pixels]()
    for frame in frames_of(source):
        if not goes_on(frame) or len(row) == LENGTH:
            if len(row) >= SHORTEST:
                yield tuple(row)
            row, spot = [], place_in(str(source), frame.pixels.shape)
        row.append(np.ascontiguousarray(eight_bits(frame.pixels[spot])))
    if len(row) >= SHORTEST:
        yield tuple(row)


class Going:
    """Told frames one after another, says which go on where the one before was."""

    def __init__(self) -> None:
        self._continuity = Continuity()
        self._shape: tuple[int, ...] = ()
        self._seen: Thumbnail | None = None

    def __call__(self, frame: Frame) -> bool:
        seen, broken = thumbnail(frame.pixels), self._continuity.broken_at(frame)
        # Of pictures that have nothing to do with one another none differs more than the one before.
        unlike = self._seen is not None and is_cut(float(np.abs(seen - self._seen).mean()), 0.0)
        same = frame.pixels.shape == self._shape
        self._shape, self._seen = frame.pixels.shape, seen
        return same and not unlike and not broken


def frames_of(source: Path) -> Iterator[Frame]:
    """Of a video, or of a folder of pictures, by the numbers in their names."""
    if not source.is_dir():
        with open_source(source) as video:
            yield from video
        return
    found = [path for path in source.iterdir() if path.suffix.lower() in EXTENSIONS]
    for path in sorted(found, key=lambda path: (number(path), path.name)):
        yield Frame(colours(read_image(path).pixels), None, Fraction(1))


def number(path: Path) -> int:
    """That at the end of the file's name, -1 where there is none."""
    digits = path.stem[len(path.stem.rstrip("0123456789")) :]
    return int(digits) if digits else -1
