"""The project's own held-out pairs: rain by our own code on photographs that no recipe trains on."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from derain.engines.errors import UsageError
from derain.engines.quality import psnr
from derain.train.datasets import pictures, read_rgb, split
from derain.train.degradations import raindrops, streaks
from derain.train.degradations.rain import Picture, Rainy
from derain.train.preview import write_rgb
from derain.train.recipe import DataRecipe

REAL_DROPS = (17.0, 24.0)
"""PSNR in dB that pictures through really wet glass have."""
TRIES = 200


def drops(rng: np.random.Generator, clean: Picture) -> Picture:
    """Drops as strong as real ones: the first draw whose PSNR lies in REAL_DROPS."""
    low, high = REAL_DROPS
    for _ in range(TRIES):
        rainy = raindrops.apply(clean, raindrops.sample(rng, *clean.shape[:2])).image
        if low <= psnr(rainy, clean, 1) <= high:
            return rainy
    raise UsageError(f"no drops of {low} to {high} dB in {TRIES} draws on this photograph")


def falling(rng: np.random.Generator, clean: Picture) -> Picture:
    """Streaks of any density."""
    rainy: Rainy = streaks.apply(clean, streaks.sample(rng, *clean.shape[:2]))
    return rainy.image


SETS: tuple[tuple[str, Callable[[np.random.Generator, Picture], Picture]], ...] = (
    ("drops", drops),
    ("streaks", falling),
    ("joint", lambda rng, clean: falling(rng, drops(rng, clean))),
    ("clean", lambda rng, clean: clean),
)
"""(folder, what is done to each clean photograph)."""


def held_out(recipe: DataRecipe, data: Path) -> list[Path]:
    """The photographs that the recipe keeps from training."""
    return [p for folder in recipe.photos for p in split(pictures(data / folder), recipe.hold_out)[1]]


def pixels(picture: Picture) -> Any:
    return (picture * 255).round().astype(np.uint8)


def build(folder: Path, recipe: DataRecipe, data: Path, seed: int) -> int:
    """Writes SETS with rainy/ and clean/ PNGs into `folder`, which must not exist; returns the pairs of each.

    The same seed and photographs give the same pixels. The folder appears whole or not at all.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists; name a new folder")
    photos = held_out(recipe, data)
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    try:
        for number, (name, degrade) in enumerate(SETS):
            write_set(temporary / name, photos, degrade, [seed, number])
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(photos)


def write_set(
    folder: Path,
    photos: list[Path],
    degrade: Callable[[np.random.Generator, Picture], Picture],
    seed: list[int],
) -> None:
    """One set: each photograph with its own generator, so that no picture depends on those before it."""
    for twin in ("rainy", "clean"):
        (folder / twin).mkdir(parents=True)
    for index, path in enumerate(photos):
        clean = read_rgb(path).astype(np.float32) / np.float32(255)
        rainy = degrade(np.random.default_rng([*seed, index]), clean)
        write_rgb(folder / "rainy" / f"{path.stem}.png", pixels(rainy))
        write_rgb(folder / "clean" / f"{path.stem}.png", pixels(clean))
