"""Runs of a few steps: recipes of tiny networks, photographs to train on, and what a run left behind."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from derain.train.recipe import DataRecipe, NetworkRecipe, OptimiserRecipe, Recipe, load_recipe
from derain.train.run_folder import CURVES
from derain.train.trainer import RunOptions

SHARES = {"streaks": 0.5, "drops": 0.3, "joint": 0.1, "dry": 0.1}
SIZE = {"channels": (8, 8, 12), "encoder": (1, 0, 0), "decoder": (1, 0, 1)}
"""Of the smallest network that learns."""
PHOTOS = DataRecipe(("photos",), SHARES, hold_out=4)

TINY = """
name = "tiny"

[network]
name = "realtime-s"

[data]
photos = ["photos"]
shares = { streaks = 0.5, drops = 0.3, joint = 0.1, dry = 0.1 }

[train]
steps = 6
batch = 2
patch = 32
rate = 1e-3
"""
"""A recipe as users write one, over photos/ in their data folder."""


def tiny() -> Recipe:
    """The smallest network that takes 32x32, without a discriminator."""
    return Recipe(
        name="tiny",
        network=NetworkRecipe("realtime-s", SIZE),
        data=PHOTOS,
        train=OptimiserRecipe(steps=6, batch=2, patch=32, rate=1e-3, warmup=2),
        licence="MIT",
        removes=("streaks",),
    )


def small(name: str, **train: Any) -> Recipe:
    """A shipped recipe over `photographs`, as narrow as a test needs it; `train`: changes of its [train]."""
    shipped = load_recipe(name)
    return replace(
        shipped,
        data=replace(PHOTOS, pairs_rain=shipped.data.pairs_rain),
        network=replace(shipped.network, width=0.0625),
        train=replace(shipped.train, batch=2, patch=64 if "gan" in name or "pix" in name else 32, **train),
        validation=replace(shipped.validation, patches=2),
    )


def photographs(folder: Path, count: int = 5) -> Path:
    """A data folder whose photos/ holds `count` pictures of 80x64."""
    (folder / "photos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        photo = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (80, 64))
        cv2.imwrite(str(folder / "photos" / f"{index}.png"), photo)
    return folder


def here(data: Path, output: Path, **options: Any) -> RunOptions:
    """Options of a run whose patches this process makes itself."""
    return RunOptions(data, output, **{"workers": 0, "log_every": 1, **options})


def tensors(content: Any, name: str = "") -> dict[str, torch.Tensor]:
    """Every tensor anywhere in a checkpoint, by its place in it."""
    if isinstance(content, torch.Tensor):
        return {name: content}
    items: Iterable[tuple[object, Any]] = content.items() if isinstance(content, dict) else ()
    if isinstance(content, list | tuple):
        items = enumerate(content)
    return {key: t for at, inner in items for key, t in tensors(inner, f"{name}.{at}").items()}


def kept(run: Path) -> dict[str, torch.Tensor]:
    """Weights, averages, statistics and moments in the checkpoint of a run folder."""
    return tensors(torch.load(run / "checkpoint.pt", weights_only=True))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether both hold the same tensors, bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def curves(run: Path) -> str:
    """The losses of a run as they were written."""
    return (run / CURVES).read_text(encoding="utf-8")
