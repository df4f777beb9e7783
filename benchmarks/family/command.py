"""`derain bench family`: what was tried for the real-time family, at what milliseconds and how good."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from derain.benchmarks.evaluation.outputs import reserve, write
from derain.benchmarks.evaluation.sets import CaseSet
from derain.benchmarks.evaluation.summary import finite
from derain.benchmarks.family.candidates import CANDIDATES, REFERENCE, Candidate, Reference, recipe_of
from derain.benchmarks.family.report import Row, markdown
from derain.benchmarks.family.scores import scores, sets_to_measure
from derain.benchmarks.family.speed import FRAME, Untrained, speeds
from derain.benchmarks.lineage.command import budget_option, make, tell, told
from derain.benchmarks.lineage.training import Terms, Trained, train_all
from derain.benchmarks.machine import machine
from derain.engines.errors import UsageError
from derain.pipeline.commands.options import whole_option
from derain.train.calibration import choose
from derain.train.commands.options import data_folder, seed_option
from derain.train.networks.facts import cost, halo
from derain.train.networks.realtime import MULTIPLE_OF
from derain.train.reach import receptive_radius
from derain.train.trainer import sources_of

CALIBRATED = 8
"""Photographs that INT8 is calibrated on: times don't hang on them."""


def budget_or_none(ctx: click.Context, parameter: click.Parameter, text: str) -> float:
    """Seconds; 0 for no training."""
    return 0.0 if text == "0" else budget_option(ctx, parameter, text)


def candidates_option(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[Candidate, ...]:
    """The candidates named, in the order of CANDIDATES; all without a name."""
    known = [one.name for one in CANDIDATES]
    named = known if text is None else [name.strip() for name in text.split(",")]
    if unknown := [name for name in named if name not in known]:
        raise UsageError(f"--candidates knows {', '.join(known)}, not {unknown[0]!r}")
    return tuple(one for one in CANDIDATES if one.name in named)


def untrained(candidates: Sequence[Candidate]) -> dict[str, Untrained]:
    """The reference and the candidates."""
    found = {REFERENCE: Untrained(Reference, 4, receptive_radius(Reference(), 4))}
    return found | {one.name: Untrained(one.build, MULTIPLE_OF, halo(one.network)) for one in candidates}


def timed(candidates: Sequence[Candidate], terms: Terms, rounds: int) -> list[Row]:
    """The reference and all candidates before any training, their times measured in turns."""
    networks = untrained(candidates)
    photos = terms.data / recipe_of(candidates[0], terms.seed).data.photos[0]
    frames = choose(photos, CALIBRATED, terms.seed, MULTIPLE_OF).calibration
    tell(f"{len(networks)} networks in fp32 and INT8, times a frame in {rounds} turns")
    with tempfile.TemporaryDirectory(prefix="derain-bench-") as folder:
        speed = speeds(networks, frames, rounds, terms.threads, Path(folder))
    words = {REFERENCE: "4x unshuffle, eight 3x3 convolutions of 32"}
    words |= {one.name: one.words for one in candidates}
    return [
        Row(name, words[name], cost(network.build), network.radius, speed[name], speed[REFERENCE])
        for name, network in networks.items()
    ]


def measured(rows: Sequence[Row], done: Trained, sets: Sequence[CaseSet], threads: int) -> list[Row]:
    """The rows with what training gave, where it gave anything."""
    tell(f"{sum(len(one.cases) for one in sets)} pictures through {len(done.models)} candidates")
    found = scores(done.models, sets, threads)
    return [
        replace(row, record=done.records[row.name], scores=found[row.name]) if row.name in found else row
        for row in rows
    ]


def make_runs(terms: Terms, folder: Path | None) -> Path:
    """The folder of the runs, which training needs. Raises UsageError."""
    if folder is None:
        each = f"{terms.steps} steps" if terms.steps else told(terms.budget)
        raise UsageError(f"--output names the folder of the runs, for {each} of training each")
    make(folder)
    return folder


PATH = click.Path(path_type=Path)


@click.command("family")
@click.option("--data", help="Folder the recipe's photos lie in.  [default: $DERAIN_DATA]")
@click.option("--candidates", callback=candidates_option, metavar="NAME,...", help="Not all, but these.")
@click.option("--budget", default="10m", show_default=True, callback=budget_or_none, metavar="TIME",
              help="Training of each; 0 for times alone.")  # fmt: skip
@click.option("--steps", default=0, type=click.IntRange(min=0), metavar="N",
              help="So many of each, in place of a budget: the same on any machine.")  # fmt: skip
@click.option("--output", "folder", type=PATH, help="The run folders.")
@click.option("--held-out", "held", type=PATH, metavar="FOLDER", help="What derain benchmark-set made.")
@click.option("--set", "folders", type=PATH, multiple=True, metavar="PAIRS",
              help="Also this folder of pairs; repeatable.")  # fmt: skip
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Take each n-th pair."
)
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(min=1), help="Frames timed.")
@click.option("--seed", default="1", show_default=True, callback=seed_option, metavar="N")
@click.option("--threads", default="2", show_default=True, callback=whole_option(1, 1024), metavar="N")
@click.option("--workers", default="1", show_default=True, callback=whole_option(0, 64), metavar="N",
              help="Processes that make patches; 0 for none.")  # fmt: skip
@click.option("--json", "json_file", type=PATH, help="Also write the figures here.")
def command(
    data: str | None,
    candidates: tuple[Candidate, ...],
    budget: float,
    steps: int,
    folder: Path | None,
    held: Path | None,
    folders: tuple[Path, ...],
    every: int,
    rounds: int,
    seed: int,
    threads: int,
    workers: int,
    json_file: Path | None,
) -> None:
    """Time the candidates for realtime-s beside a fixed network, then train and compare them.

    Times are of 1280x720, in turns, before anything is trained: --budget 0 stops there. What is trained is
    kept in the folder of --output: the same command goes on where it was stopped.
    """
    place = reserve(json_file)
    terms = Terms(data_folder(data), budget, seed, threads, workers, steps)
    recipes = {one.name: recipe_of(one, seed) for one in candidates}
    sources_of(recipes[candidates[0].name], terms.data)
    trains = bool(budget or steps)
    sets = sets_to_measure(held, folders, every) if trains else []
    runs = make_runs(terms, folder) if trains else None
    facts = machine()
    rows, failed = timed(candidates, terms, rounds), dict[str, str]()
    if runs is not None:
        tell(markdown(rows))
        done = train_all(recipes, terms, runs, tell)
        rows, failed = measured(rows, done, sets, threads), done.failed
    say(rows, failed, f"{facts['cpu']}, {threads} threads, load {facts['load']:.1f}")
    content = {
        "machine": facts,
        **({"steps": steps} if steps else {"budget_seconds": budget}),
        "seed": seed,
        "threads": threads,
        "frame": FRAME,
        "rounds": rounds,
        "every": every,
        "pictures": {one.title: len(one.cases) for one in sets},
        "candidates": [row.plain() for row in rows],
        "failed": failed,
    }
    write(place, json.dumps(finite(content), indent=1, allow_nan=False) + "\n")


def say(rows: Sequence[Row], failed: Mapping[str, str], title: str) -> None:
    """The table and who is not in all of it, as Markdown."""
    lines = [title, "", markdown(rows)]
    if failed:
        lines += ["", *(f"{name} is not trained: {why}" for name, why in failed.items())]
    click.echo("\n".join(lines))
