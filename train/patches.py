"""Endless rainy patches of clean photographs, for the trainer."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset

from derain.engines.errors import DerainError
from derain.train.datasets import read_rgb
from derain.train.degradations.compose import Made, Shot, make
from derain.train.degradations.joint_masks import MARKS, JointMasks, Scale, joint_attention, joint_masks
from derain.train.degradations.masks import trains_rain
from derain.train.degradations.mixture import sample
from derain.train.degradations.rain import Map, Picture
from derain.train.recipe import DataRecipe, Recipe
from derain.train.sets.crops import PairCrops, PatchOptions
from derain.train.sets.layouts import Pair
from derain.train.sets.more_drops import with_drops
from derain.train.stages import largest, samples_before, stage_at

MOST_DRAWN = 1000
"""Patches that are drawn for one that is to be chosen: of pictures without rain or detail there is none."""


class Batch(NamedTuple):
    """`rainy` and `clean` (N, 3, P, P), `mask` (N, 1, P, P): the soft rain mask, all float32 in 0..1; of
    clips (`RainyClips`) each is (N, T, c, P, P).

    `drops`, `streaks`: soft masks of one kind each, as `mask`; None where nothing asks for them.
    """

    rainy: torch.Tensor
    clean: torch.Tensor
    mask: torch.Tensor
    drops: torch.Tensor | None = None
    streaks: torch.Tensor | None = None

    def mapped(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        """With `change` of each tensor there is."""
        drops, streaks = (None if part is None else change(part) for part in (self.drops, self.streaks))
        return Batch(change(self.rainy), change(self.clean), change(self.mask), drops, streaks)


def crop(rng: np.random.Generator, photo: npt.NDArray[np.uint8], size: int, data: DataRecipe) -> Picture:
    """A random square of `size` pixels: scaled by `data.scales` where the photo is large enough, half the
    time flipped where `data.flips`."""
    low, high = (math.log(scale) for scale in data.scales)
    side = int(np.clip(size / math.exp(rng.uniform(low, high)), 1, min(photo.shape[:2])))
    y = int(rng.integers(0, photo.shape[0] - side + 1))
    x = int(rng.integers(0, photo.shape[1] - side + 1))
    square = photo[y : y + side, x : x + side, :]
    if side != size:
        way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        square = np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)
    if rng.uniform() < 0.5 and data.flips:
        square = square[:, ::-1]
    return np.ascontiguousarray(square, np.float32) / np.float32(255)


def large_enough(path: Path, photo: npt.NDArray[np.uint8], patch: int) -> npt.NDArray[np.uint8]:
    """The photo; DerainError where a patch does not fit into it."""
    height, width = photo.shape[:2]
    if min(height, width) < patch:
        raise DerainError(
            f"{path} is {width}x{height}, smaller than a patch of {patch}x{patch}; "
            f"take a smaller patch or leave the photo out"
        )
    return photo


def planes(picture: Picture | Map) -> torch.Tensor:
    """(H, W, 3) or (H, W) as (3, H, W) or (1, H, W) float32."""
    array = picture.transpose(2, 0, 1) if picture.ndim == 3 else picture[None]
    return torch.from_numpy(np.ascontiguousarray(array))


def pixels(picture: torch.Tensor) -> Picture:
    """(3, H, W) as (H, W, 3)."""
    return np.ascontiguousarray(picture.numpy().transpose(1, 2, 0))


def stacked(samples: Sequence[Batch]) -> Batch:
    """Samples (c, P, P) as one batch."""
    columns = zip(*samples, strict=True)
    return Batch(*(None if column[0] is None else torch.stack(column) for column in columns))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Share:
    """The part of every batch this process makes: `rank` of `size` processes that train together."""

    rank: int = 0
    size: int = 1


ALONE = Share()


class RainyPatches(IterableDataset[Batch]):
    """Endless batches, made of photos by rain of the recipe's shares, and cut of pairs.

    Sample i depends on (seed, i) and its size alone, and worker w of n makes batches w, w + n, ..., which the
    loader takes in turn: neither an interruption nor the number of workers changes what a run sees. Of each
    step's samples, which stand one after another, every process that trains along takes its share.

    `first`: the number of the first batch. `apart`: batches have the masks of drops and streaks too,
    in that scale.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        recipe: Recipe,
        first: int = 0,
        pairs: Sequence[Pair] = (),
        apart: Scale | None = None,
        share: Share = ALONE,
    ) -> None:
        self.paths, self.recipe, self.first = tuple(photos), recipe, first
        self.apart, self.share = apart, share
        data, train = recipe.data, recipe.train
        options = PatchOptions(train.patch, train.batch, scales=data.scales, flips=data.flips)
        self.pairs = PairCrops(pairs, options) if pairs else None

    @cached_property
    def photos(self) -> list[npt.NDArray[np.uint8]]:
        """Read where they are used, in the worker that makes the patches. DerainError names one that can't be
        read or is smaller than a patch."""
        return [large_enough(path, read_rgb(path), largest(self.recipe.train)) for path in self.paths]

    def sample(self, index: int, patch: int) -> Batch:
        """Sample `index`, of so many pixels; DerainError where none of many patches is one to choose."""
        rng = np.random.default_rng([self.recipe.seed, index])
        for _ in range(MOST_DRAWN):
            found = self.drawn(rng, patch)
            if not self.recipe.data.chosen or self.suits(found):
                return found
        raise DerainError(
            f"of {MOST_DRAWN} patches none has detail and rain; give other photos or more rain, "
            f"or --set data.chosen=false"
        )

    def suits(self, found: Batch) -> bool:
        """Whether a sample is one to choose."""
        return trains_rain(pixels(found.rainy), pixels(found.clean))

    def drawn(self, rng: np.random.Generator, patch: int) -> Batch:
        """A patch of a pair or of a photo."""
        if self.pairs and (not self.paths or rng.uniform() < self.recipe.data.pairs_share):
            return self.of_pair(rng, self.pairs, patch)
        photo = self.photos[int(rng.integers(len(self.photos)))]
        return self.of_photo(rng, crop(rng, photo, patch, self.recipe.data))

    def of_pair(self, rng: np.random.Generator, pairs: PairCrops, patch: int) -> Batch:
        """A patch of a pair, perhaps with more drops."""
        data = self.recipe.data
        rainy, clean, attention = pairs.draw(rng, patch)
        if data.more_drops and rng.uniform() < data.more_drops:
            made = with_drops(rng, rainy, clean)
            rainy, attention = made.image, made.attention
        kinds = of_one_kind(MARKS[self.apart](rainy, clean), data.pairs_rain) if self.apart else None
        return sample_of(rainy, clean, attention, kinds)

    def of_photo(self, rng: np.random.Generator, clean: Picture) -> Batch:
        """A patch with rain of a kind drawn by the recipe's shares."""
        height, width = clean.shape[:2]
        return rained(clean, sample(rng, height, width, self.recipe.data.shares), self.apart)

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        number, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        if worker:
            cv2.setNumThreads(1)
        for batch in itertools.count(self.first + number, stride):
            patch = stage_at(self.recipe.train, batch // self.recipe.train.accumulate).patch
            yield stacked([self.sample(index, patch) for index in self.indices(batch)])

    def indices(self, batch: int) -> range:
        """The numbers of the samples of this process's part of a batch."""
        train = self.recipe.train
        step, gathered = divmod(batch, train.accumulate)
        size = stage_at(train, step).batch
        before = samples_before(train, step) + gathered * size
        begin = before * self.share.size + self.share.rank * size
        return range(begin, begin + size)


def of_one_kind(mask: Map, kind: str) -> JointMasks:
    """The mask of a pair's rain as that of its one kind; of both where they fell together, as nothing tells
    them apart there."""
    nothing = np.zeros_like(mask)
    return JointMasks(nothing if kind == "streaks" else mask, nothing if kind == "drops" else mask)


def rained(clean: Picture, shot: Shot, apart: Scale | None, time: float = 0.0) -> Batch:
    """One sample of a picture under a shot at `time` seconds."""
    made = make(clean, shot, time)
    return sample_of(
        made.rainy.image, made.clean, made.rainy.attention, kinds_of(made, clean, shot, apart, time)
    )


def kinds_of(made: Made, clean: Picture, shot: Shot, apart: Scale | None, time: float) -> JointMasks | None:
    """The masks of drops and of streaks in what came of a shot, where they are asked for."""
    if apart == "absolute":
        return joint_attention(made)
    return joint_masks(clean, shot, time) if apart else None


def sample_of(rainy: Picture, clean: Picture, attention: Map, kinds: JointMasks | None) -> Batch:
    """One sample, (c, P, P) each."""
    drops, streaks = (None, None) if kinds is None else (planes(kinds.drops), planes(kinds.streaks))
    return Batch(planes(rainy), planes(clean), planes(attention), drops, streaks)
