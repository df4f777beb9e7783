"""Endless rainy patches of clean photographs, for the trainer."""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset

from derain.engines.errors import DerainError
from derain.train.datasets import read_rgb
from derain.train.degradations.mixture import degrade
from derain.train.degradations.rain import Map, Picture
from derain.train.recipe import Recipe
from derain.train.sets.crops import PairCrops, PatchOptions
from derain.train.sets.layouts import Pair

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def crop(rng: np.random.Generator, photo: npt.NDArray[np.uint8], size: int) -> Picture:
    """A random square of `size` pixels: scaled by 0.6 to 1.8 where the photo is large enough, half the time
    flipped."""
    side = int(np.clip(size / math.exp(rng.uniform(math.log(0.6), math.log(1.8))), 1, min(photo.shape[:2])))
    y = int(rng.integers(0, photo.shape[0] - side + 1))
    x = int(rng.integers(0, photo.shape[1] - side + 1))
    square = photo[y : y + side, x : x + side, :]
    if side != size:
        way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        square = np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)
    if rng.uniform() < 0.5:
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


def tensors(rainy: Picture, clean: Picture, attention: Map) -> Batch:
    """(3, P, P), (3, P, P) and (1, P, P) float32."""
    rgb = [torch.from_numpy(np.ascontiguousarray(a.transpose(2, 0, 1))) for a in (rainy, clean)]
    return rgb[0], rgb[1], torch.from_numpy(np.ascontiguousarray(attention[None]))


class RainyPatches(IterableDataset[Batch]):
    """Endless batches of (rainy, clean, mask): (N, 3, P, P), (N, 3, P, P) and (N, 1, P, P) float32 in 0..1.

    Sample i depends on (seed, i) alone, and worker w of n makes batches w, w + n, ..., which the loader takes
    in turn: neither an interruption nor the number of workers changes what a run sees.
    """

    def __init__(
        self, photos: Sequence[Path], recipe: Recipe, first_step: int, pairs: Sequence[Pair] = ()
    ) -> None:
        self.paths, self.recipe, self.first_step = tuple(photos), recipe, first_step
        self.pairs = PairCrops(pairs, PatchOptions(recipe.train.patch, recipe.train.batch)) if pairs else None

    @cached_property
    def photos(self) -> list[npt.NDArray[np.uint8]]:
        """Read where they are used, in the worker that makes the patches. DerainError names one that can't be
        read or is smaller than a patch."""
        return [large_enough(path, read_rgb(path), self.recipe.train.patch) for path in self.paths]

    def sample(self, index: int) -> Batch:
        rng = np.random.default_rng([self.recipe.seed, index])
        if self.pairs and rng.uniform() < self.recipe.data.pairs_share:
            return tensors(*self.pairs.draw(rng))
        photo = self.photos[int(rng.integers(len(self.photos)))]
        clean = crop(rng, photo, self.recipe.train.patch)
        made = degrade(rng, clean, self.recipe.data.shares)
        return tensors(made.rainy.image, made.clean, made.rainy.attention)

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        number, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        if worker:
            cv2.setNumThreads(1)
        size = self.recipe.train.batch
        for step in itertools.count(self.first_step + number, stride):
            samples = [self.sample(step * size + i) for i in range(size)]
            rainy, clean, mask = (torch.stack(column) for column in zip(*samples, strict=True))
            yield rainy, clean, mask
