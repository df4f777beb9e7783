"""Endless rainy clips, for networks that remember: rain that falls through moving pictures.

They are cut of real clips, or a camera moves over a photograph. All that `patches.py` says of patches holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.pipeline.continuity import is_cut, thumbnail
from derain.train import camera_path
from derain.train.degradations.joint_masks import Scale
from derain.train.degradations.mixture import sample
from derain.train.degradations.rain import Picture
from derain.train.held_out.clips import Clip, read_clip
from derain.train.patches import (
    ALONE,
    Batch,
    RainyPatches,
    Share,
    crop,
    large_enough,
    rained,
    stacked,
)
from derain.train.recipe import Recipe
from derain.train.sets.layouts import Pair
from derain.train.stages import largest
from derain.train.synthesis.video import open_clean

RATES = (24, 25, 30, 50, 60)
"""Frames a second of clips that are made of photographs."""
WET = 8.0
"""Seconds that it has rained, at most, when a clip begins: drops have run and wipers have wiped by then."""
MOST_READ, MOST_WIDE = 150, 640
"""Of each real clip as many pictures are kept in memory, from its beginning, and so wide at most."""

Moving = tuple[list[Picture], list[float]]
"""Pictures (P, P, 3), and the time of each in seconds, from that of the first on."""


@dataclass(frozen=True)
class Footage:
    """A real clip, and the numbers of the pictures that samples of it can begin with."""

    clip: Clip
    begins: tuple[int, ...]


def size_of_clip(path: Path) -> tuple[int, int]:
    """(width, height) of the pictures that are cut. UsageError where no rain can be made on it."""
    with open_clean(path) as source:
        info = source.info
        width, height = (info.width, info.height)[:: -1 if info.rotation % 180 else 1]
    shrunk = min(1.0, MOST_WIDE / width)
    return round(width * shrunk), round(height * shrunk)


def footage(path: Path, frames: int, patch: int) -> Footage:
    """Reads a clip for samples of so many frames. DerainError where none fits into it."""
    clip = read_clip(path, MOST_READ, MOST_WIDE)
    large_enough(path, clip.pictures[0], patch)
    cuts = cuts_in(clip.pictures)
    begins = tuple(
        begin
        for begin in range(len(clip.pictures) - frames + 1)
        if not any(begin < cut < begin + frames for cut in cuts)
    )
    if not begins:
        raise DerainError(
            f"{path} has no {frames} pictures in a row without a cut among its first {len(clip.pictures)}; "
            f"give --set data.frames={frames // 2} or less, or leave it out"
        )
    return Footage(clip, begins)


def cuts_in(pictures: Sequence[Pixels]) -> list[int]:
    """The numbers of the pictures that show another scene than the one before."""
    changes = [0.0, *(float(np.abs(b - a).mean()) for a, b in pairwise(map(thumbnail, pictures)))]
    return [n for n, (before, now) in enumerate(pairwise(changes), 1) if is_cut(now, before)]


class RainyClips(RainyPatches):
    """Endless batches of clips of `recipe.data.frames` frames, (N, T, c, P, P), by a recipe without pairs."""

    def __init__(
        self,
        photos: Sequence[Path],
        recipe: Recipe,
        first: int = 0,
        clips: Sequence[Path] = (),
        apart: Scale | None = None,
        share: Share = ALONE,
    ) -> None:
        super().__init__(photos, recipe, first, (), apart, share)
        self.clips = tuple(clips)

    @cached_property
    def footage(self) -> list[Footage]:
        """Read where it is used, as photos are."""
        frames, patch = self.recipe.data.frames, largest(self.recipe.train)
        return [footage(path, frames, patch) for path in self.clips]

    def drawn(self, rng: np.random.Generator, patch: int) -> Batch:
        """A clip with rain of a kind drawn by the recipe's shares."""
        data = self.recipe.data
        real = self.clips and (not self.paths or rng.uniform() < data.clips_share)
        pictures, times = (self.of_footage if real else self.of_camera)(rng, patch)
        shot, begin = sample(rng, patch, patch, data.shares), rng.uniform(0, WET)
        return stacked([
            rained(clean, shot, self.apart, begin + time) for clean, time in zip(pictures, times, strict=True)
        ])  # fmt: skip

    def of_footage(self, rng: np.random.Generator, patch: int) -> Moving:
        """The same square of pictures in a row."""
        found = self.footage[int(rng.integers(len(self.footage)))]
        begin = int(rng.choice(found.begins))
        part = slice(begin, begin + self.recipe.data.frames)
        square, times = int(rng.integers(1 << 62)), found.clip.times[part]
        pictures = [
            crop(np.random.default_rng(square), picture, patch, self.recipe.data)
            for picture in found.clip.pictures[part]
        ]
        return pictures, [time - times[0] for time in times]

    def of_camera(self, rng: np.random.Generator, patch: int) -> Moving:
        """What a camera sees of a photo."""
        data, rate = self.recipe.data, float(rng.choice(RATES))
        times = [number / rate for number in range(data.frames)]
        around = [time - times[-1] / 2 for time in times]
        path = camera_path.sample(rng, patch, data.frames / rate)
        photo = self.photos[int(rng.integers(len(self.photos)))]
        wide = crop(rng, photo, patch + 2 * camera_path.margin(path, around, patch), data)
        return camera_path.along(path, wide, around, patch), times

    def suits(self, found: Batch) -> bool:
        """Whether its first frame is one to choose."""
        return super().suits(found.mapped(lambda part: part[0]))


def patches_of(
    recipe: Recipe,
    photos: Sequence[Path],
    pairs: Sequence[Pair] = (),
    clips: Sequence[Path] = (),
    first: int = 0,
    apart: Scale | None = None,
    share: Share = ALONE,
) -> RainyPatches:
    """What a recipe trains on: patches, or clips where it asks for more than one frame."""
    if recipe.data.frames > 1:
        return RainyClips(photos, recipe, first, clips, apart, share)
    return RainyPatches(photos, recipe, first, pairs, apart, share)
