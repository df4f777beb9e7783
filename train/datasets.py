"""Clean photographs to make rain on, and paired sets to measure on."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset

from derain.engines.errors import DerainError, UsageError
from derain.train.degradations.mixture import degrade
from derain.train.degradations.rain import Picture
from derain.train.recipe import Recipe

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
LAYOUTS = (("rainy", "clean"), ("input", "target"))
Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures directly in `folder`, sorted by name; UsageError where it is no folder or has none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    found = tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS))
    if not found:
        raise UsageError(f"{folder} has no pictures ({' '.join(ENDINGS)})")
    return found


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; DerainError names a file that can't be read."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise DerainError(f"{path} is not a picture that OpenCV reads")
    return np.asarray(image, np.uint8)


@dataclass(frozen=True)
class Pair:
    """A rainy picture's file and its clean twin's."""

    name: str
    rainy: Path
    clean: Path


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """Pairs of `folder`/rainy and `folder`/clean (or input and target), matched by name without ending.

    Raises UsageError for another layout, and one that names every picture without a twin.
    """
    for rainy, clean in LAYOUTS:
        if (folder / rainy).is_dir() and (folder / clean).is_dir():
            return match(pictures(folder / rainy), pictures(folder / clean))
    expected = " or ".join(f"{rainy}/ and {clean}/" for rainy, clean in LAYOUTS)
    raise UsageError(f"{folder} is not a set of pairs: it needs {expected} inside")


def match(rainy: Sequence[Path], clean: Sequence[Path]) -> tuple[Pair, ...]:
    """Pairs by file name without ending; UsageError lists all that lack a twin."""
    left, right = {p.stem: p for p in rainy}, {p.stem: p for p in clean}
    alone = sorted(left.keys() ^ right.keys())
    if alone:
        raise UsageError(
            f"{len(alone)} pictures of {rainy[0].parent.parent} have no twin: {', '.join(alone)}"
        )
    return tuple(Pair(stem, left[stem], right[stem]) for stem in sorted(left))


def split(paths: Sequence[Path], every: int) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(training, held out): every `every`-th picture is held out, counted from the first."""
    return (
        tuple(p for i, p in enumerate(paths) if i % every),
        tuple(p for i, p in enumerate(paths) if i % every == 0),
    )


def crop(rng: np.random.Generator, photo: npt.NDArray[np.uint8], size: int) -> Picture:
    """A random square of `size` pixels: scaled by 0.6 to 1.3 where the photo is large enough, half the time
    flipped, at times darkened as dusk or a short exposure would."""
    side = int(np.clip(size / rng.uniform(0.6, 1.3), 1, min(photo.shape[:2])))
    y = int(rng.integers(0, photo.shape[0] - side + 1))
    x = int(rng.integers(0, photo.shape[1] - side + 1))
    square = photo[y : y + side, x : x + side, :]
    if side != size:
        way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        square = np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)
    if rng.uniform() < 0.5:
        square = square[:, ::-1]
    picture = np.ascontiguousarray(square, np.float32) / np.float32(255)
    if rng.uniform() < 0.25:
        picture = np.asarray(picture ** np.float32(rng.uniform(1, 1.8)) * rng.uniform(0.3, 1), np.float32)
    return picture


class RainyPatches(IterableDataset[Batch]):
    """Endless batches of (rainy, clean, mask): (N, 3, P, P), (N, 3, P, P) and (N, 1, P, P) float32 in 0..1.

    Sample i depends on (seed, i) alone, and worker w of n makes batches w, w + n, ..., which the loader takes
    in turn: neither an interruption nor the number of workers changes what a run sees.
    """

    def __init__(self, photos: Sequence[Path], recipe: Recipe, first_step: int) -> None:
        self.photos = [read_rgb(path) for path in photos]
        self.recipe, self.first_step = recipe, first_step

    def sample(self, index: int) -> Batch:
        rng = np.random.default_rng([self.recipe.seed, index])
        photo = self.photos[int(rng.integers(len(self.photos)))]
        clean = crop(rng, photo, self.recipe.train.patch)
        rainy = degrade(rng, clean, self.recipe.data.shares)
        rgb = [torch.from_numpy(np.ascontiguousarray(a.transpose(2, 0, 1))) for a in (rainy.image, clean)]
        return rgb[0], rgb[1], torch.from_numpy(rainy.mask[None])

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
