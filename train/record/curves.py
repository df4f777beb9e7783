"""The curves of a run: what they are made of, and curves.csv."""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from derain.train.optimisers import share_of_rate
from derain.train.recipe import Recipe
from derain.train.record.files import write_whole
from derain.train.steps import Figures

log = logging.getLogger(__name__)

CURVES = "curves.csv"
COLUMNS = ("step", "name", "value")
Row: TypeAlias = tuple[int, str, float]
"""Step, name of the curve, value."""


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


def read_curves(path: Path) -> list[Row]:
    """The rows of a run folder's curves; none where there are none yet. One warning tells of lines that can't
    be read, as a full disk leaves them: a run goes on without them."""
    file = path / CURVES
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [row_of(line) for line in lines if line != ",".join(COLUMNS)]
    rows = [row for row in found if row is not None]
    if len(rows) < len(found):
        log.warning("%s: %d lines can't be read and are left out", file, len(found) - len(rows))
    return rows


def row_of(line: str) -> Row | None:
    """One line, None where it is damaged."""
    try:
        step, name, value = line.split(",")
        return int(step), name, float(value)
    except ValueError:
        return None


def write_curves(path: Path, rows: Iterable[Row]) -> None:
    """Puts all rows in the place of those in the run folder."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_whole(path / CURVES, text.getvalue())


def append_curves(path: Path, step: int, values: Mapping[str, float]) -> list[Row]:
    """Adds the values of a step, by the names of their curves; gives their rows."""
    rows = [(step, name, value) for name, value in values.items()]
    with (path / CURVES).open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return rows


def curve(rows: Iterable[Row], name: str) -> list[tuple[int, float]]:
    """(step, value) of one curve."""
    return [(step, value) for step, of, value in rows if of == name]
