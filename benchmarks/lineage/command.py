"""`derain bench lineage`: the published systems trained under one budget, and compared."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from derain.benchmarks.evaluate import encoded
from derain.benchmarks.evaluation.outputs import reserve, write
from derain.benchmarks.evaluation.sets import CaseSet
from derain.benchmarks.evaluation.summary import finite
from derain.benchmarks.lineage.report import Row, markdown, orderings, sentence, sheet
from derain.benchmarks.lineage.scores import (
    INPUT,
    REALTIME,
    SETS,
    Score,
    frame_times,
    held_out,
    measured,
    side_by_side,
)
from derain.benchmarks.lineage.systems import SHARES, SYSTEMS, recipe_of
from derain.benchmarks.lineage.training import Terms, Trained, train_all
from derain.benchmarks.machine import machine
from derain.engines.errors import UsageError
from derain.pipeline.commands.options import whole_option
from derain.train.commands.options import data_folder, seed_option
from derain.train.evaluate import RGB
from derain.train.networks.facts import Cost, cost
from derain.train.networks.registry import build_network
from derain.train.recipe import Recipe, load_recipe
from derain.train.trainer import sources_of

PICTURES = 2
"""Of each set on the sheet."""
SHEET = "sheet.png"
LEAST = 1.0
"""Seconds of a budget."""


def budget_option(ctx: click.Context, parameter: click.Parameter, text: str) -> float:
    """Seconds of "90", "90s", "10m" or "2h"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text, re.ASCII)
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if seconds < LEAST:
        raise UsageError(f"--budget takes a second or more, as 90s, 10m or 2h, not {text!r}")
    return seconds


def told(seconds: float) -> str:
    """A budget as one writes it."""
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def systems_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """The systems named, in the order of SYSTEMS; all without a name."""
    named = SYSTEMS if text is None else tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in named if name not in SYSTEMS]:
        raise UsageError(f"--systems knows {', '.join(SYSTEMS)}, not {unknown[0]!r}")
    return tuple(name for name in SYSTEMS if name in named)


def make(folder: Path) -> None:
    """The folder of all runs. Raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} can't be made: {error.strerror}") from error


def tell(line: str) -> None:
    """Progress: the table alone goes to stdout."""
    click.echo(line, err=True)


@dataclass(frozen=True)
class Compared:
    """Scores by set and name, milliseconds by name, and the sheet."""

    scores: dict[str, dict[str, Score]]
    ms: dict[str, float]
    sheet: RGB


def compare(models: Mapping[str, Path], sets: Sequence[CaseSet], threads: int) -> Compared:
    """All models on all sets, and their times."""
    scores, strips = {}, []
    with side_by_side(models, threads) as contestants:
        for name, one in zip(SETS, sets, strict=True):
            tell(f"{name}: {len(one.cases)} pictures through {len(contestants)} methods")
            scores[name], shown = measured(one, contestants, PICTURES)
            strips += shown
        tell("times a frame")
        ms = frame_times(contestants, sets[0].cases[0])
        labels = ["rainy", *(one.label for one in contestants), "clean"]
    return Compared(scores, ms, sheet(labels, strips))


def rows_of(done: Trained, compared: Compared, seed: int) -> list[Row]:
    """The input, the filters, the systems, and our own network."""
    rows = []
    for name in compared.scores[SETS[0]]:
        scores = {one: compared.scores[one][name] for one in SETS}
        ms = compared.ms.get(name)
        if name in done.records:
            recipe, record = recipe_of(name, seed), done.records[name]
            rows.append(Row(name, recipe.paper, scores, size(recipe), ms, record))
        elif name == REALTIME:
            rows.append(Row(name, "ours, as shipped", scores, size(load_recipe(name)), ms))
        else:
            rows.append(Row(name, "" if name == INPUT else "not trained", scores, ms=ms))
    return rows


def size(recipe: Recipe) -> Cost:
    """What the recipe's network costs."""
    return cost(lambda: build_network(recipe.network))


PATH = click.Path(path_type=Path)


@click.command("lineage")
@click.option("--data", help="Folder the recipes' photos lie in.  [default: $DERAIN_DATA]")
@click.option("--set", "held", type=PATH, required=True, help="What derain benchmark-set made.")
@click.option("--output", "folder", type=PATH, required=True, help="The run folders, and the sheet.")
@click.option("--budget", default="10m", show_default=True, callback=budget_option, help="Training of each.")
@click.option("--systems", callback=systems_option, metavar="NAME,...", help="Not all, but these.")
@click.option("--seed", default="1", show_default=True, callback=seed_option, metavar="N")
@click.option("--threads", default="2", show_default=True, callback=whole_option(1, 1024), metavar="N")
@click.option("--workers", default="1", show_default=True, callback=whole_option(0, 64), metavar="N",
              help="Processes that make patches; 0 for none.")  # fmt: skip
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Take each n-th pair."
)
@click.option("--json", "json_file", type=PATH, help="Also write the figures here.")
def command(
    data: str | None,
    held: Path,
    folder: Path,
    budget: float,
    systems: tuple[str, ...],
    seed: int,
    threads: int,
    workers: int,
    every: int,
    json_file: Path | None,
) -> None:
    """Train the published systems under one budget, and compare them.

    Each trains its small recipe on the same photos in the same rain for the same time. What is trained is
    kept in the folder of --output: the same command goes on where it was stopped, and trains nothing twice.
    """
    place = reserve(json_file)
    sets = held_out(held, every)
    terms = Terms(data_folder(data), budget, seed, threads, workers)
    sources_of(recipe_of(systems[0], seed), terms.data)
    make(folder)
    facts = machine()
    done = train_all({name: recipe_of(name, seed) for name in systems}, terms, folder, tell)
    compared = compare(done.models, sets, threads)
    rows = rows_of(done, compared, seed)
    found = orderings(rows)
    write(reserve(folder / SHEET), encoded(compared.sheet, folder / SHEET))
    say(rows, found, done.failed, f"{facts['cpu']}, {threads} threads, {told(budget)} of training each")
    content = {
        "machine": facts,
        "budget_seconds": budget,
        "seed": seed,
        "threads": threads,
        "shares": SHARES,
        "every": every,
        "pictures": {name: len(one.cases) for name, one in zip(SETS, sets, strict=True)},
        "systems": [row.plain() for row in rows],
        "failed": done.failed,
        "orderings": found,
    }
    write(place, json.dumps(finite(content), indent=1, allow_nan=False) + "\n")


def say(
    rows: Sequence[Row], found: Sequence[Mapping[str, Any]], failed: Mapping[str, str], title: str
) -> None:
    """The table and what it shows, as Markdown."""
    lines = [title, "", markdown(rows)]
    if found:
        lines += ["", "What the papers say, by PSNR-Y:", "", *map(sentence, found)]
    if failed:
        lines += ["", *(f"{system} is not in the table: {why}" for system, why in failed.items())]
    click.echo("\n".join(lines))
