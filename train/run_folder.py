"""What a run leaves beside its checkpoints: recipe, environment, hashes of its data, curves and a card."""

import csv
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from derain.train.checkpoint import State
from derain.train.commit import commit
from derain.train.optimisers import share_of_rate
from derain.train.recipe import Recipe, to_toml
from derain.train.steps import Figures, Plan

PACKAGES = ("derain", "torch", "numpy", "opencv-python", "onnx", "onnxruntime", "scikit-image")
CURVES = "curves.csv"
COLUMNS = ("step", "name", "value")


def sha256_of(path: Path) -> str:
    """The sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def summed_up(figures: Sequence[Figures], recipe: Recipe, step: int) -> dict[str, float]:
    """The curves' values of some steps: means of the losses and their terms, PSNR and its gain over the rainy
    patches in dB, the learning rate, and of a discriminator its loss, accuracy and the spread."""
    row = {"loss": mean([one.loss for one in figures])}
    names = [] if len(figures[0].network) == 1 else list(figures[0].network)
    row |= {name: mean([one.network[name] for one in figures]) for name in names}
    restored, rainy = (decibels([getattr(one, of) for one in figures]) for of in ("restored", "rainy"))
    row |= {"psnr": restored, "gain_db": restored - rainy}
    if figures[0].accuracy is not None:
        row["d_loss"] = mean([sum(one.judge.values()) for one in figures])
        row["d_accuracy"] = mean([one.accuracy or 0.0 for one in figures])
        row["spread"] = mean([one.spread or 0.0 for one in figures])
    return row | {"rate": recipe.train.rate * share_of_rate(recipe.train, step)}


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def decibels(errors: Sequence[float]) -> float:
    """PSNR in dB of mean squared errors in 0..1."""
    return -10 * float(np.log10(max(mean(errors), 1e-10)))


class RunFolder:
    """The files of one run; `step`: that it goes on from, whose later curves are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.board = SummaryWriter(path / "tensorboard", purge_step=step)
        kept = [row for row in read_curves(path) if row[0] <= step]
        with (path / CURVES).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *kept])

    def add(self, step: int, row: Mapping[str, float]) -> None:
        """Values of a step, by the names of their curves."""
        with (self.path / CURVES).open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((step, name, value) for name, value in row.items())
        for name, value in row.items():
            self.board.add_scalar(name, value, step)

    def describe(self, plan: Plan, data: Path, files: Iterable[Path]) -> None:
        """The recipe, the environment and the hashes of the files it trains on."""
        (self.path / "recipe.toml").write_text(to_toml(plan.recipe), encoding="utf-8")
        hashes = {str(os.path.relpath(path, data)): sha256_of(path) for path in sorted(set(files))}
        self.write_json("data.json", hashes)
        self.write_json("environment.json", environment(plan))

    def write_json(self, name: str, content: object) -> None:
        (self.path / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def close(self, state: State, recipe: Recipe) -> None:
        """The last files of the run."""
        self.board.close()


def read_curves(path: Path) -> list[tuple[int, str, float]]:
    """(step, name, value) of a run folder's curves; none where there are none yet."""
    file = path / CURVES
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return [(int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(lines)]


def environment(plan: Plan) -> dict[str, object]:
    """What the figures of a run may depend on beside its recipe."""
    return {
        "commit": commit(),
        "seed": plan.recipe.seed,
        "processes": plan.share.size,
        "device": torch.cuda.get_device_name() if plan.device == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
    }
