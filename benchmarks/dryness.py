"""`derain bench dryness`: what scores a network gives rainy and dry pictures, and so what it may call dry."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import click
import numpy as np

from derain.benchmarks.evaluation.cases import Moment
from derain.benchmarks.evaluation.sets import CaseSet, Choice, find_all, titled
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.registry import open_engine
from derain.pipeline.commands.options import network_options, path_option, whole_option
from derain.pipeline.rain import RainMeter
from derain.pipeline.restore import Restorer

SURE = 0.95
"""A picture is called dry below this share of the least score that any rainy one got."""


@dataclass(frozen=True)
class Scores:
    """Of one set: how many pictures are `rainy`, the `least` and the `median` score of those, None where
    there are none, and every score of the `dry` ones, in order."""

    set: str
    rainy: int
    least: float | None
    median: float | None
    dry: tuple[float, ...]


def scored(name: str, moments: Iterator[Moment], restorer: Restorer) -> Scores:
    """What the network of `restorer`, which gives scores, sees in the pictures of a set and in its twins."""
    meter = RainMeter(restorer)
    rainy, dry = [], []
    for moment in moments:
        restorer(moment.clean)
        dry.append(meter.restored())
        if not moment.dry:
            restorer(moment.rainy)
            rainy.append(meter.restored())
    least, median = (min(rainy), float(np.median(rainy))) if rainy else (None, None)
    return Scores(name, len(rainy), least, median, tuple(sorted(dry)))


def moments_of(cases: CaseSet, every: int) -> Iterator[Moment]:
    """Each `every`-th picture of a set, its clips one after another."""
    yield from islice((moment for case in cases.cases for moment in case.moments()), 0, None, every)


def dry_below(sets: Sequence[Scores]) -> float:
    """Below what a picture is dry, whatever set it is of. Raises UsageError where none was rainy."""
    least = [one.least for one in sets if one.least is not None]
    if not least:
        raise UsageError("there is no rainy picture in these sets; give some with rain of every kind")
    return SURE * min(least)


def row(one: Scores, limit: float) -> str:
    """One line of the table."""
    rainy = "         -         -" if one.least is None else f"{one.least:>10.2f}{one.median:>10.2f}"
    found = f"{sum(score < limit for score in one.dry)} of {len(one.dry)}"
    middle = f"{float(np.median(one.dry)):>10.2f}{one.dry[-1]:>10.2f}"
    return f"{one.set:<24}{one.rainy:>8}{rainy}{middle}{found:>14}"


def write_json(path: Path, model: str, limit: float, sets: Sequence[Scores]) -> None:
    """What `derain export --dryness` reads. Raises DerainError."""
    told = {"model": model, "dry_below": round(limit, 3), "sets": [asdict(one) for one in sets]}
    try:
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error


@click.command("dryness")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SET...")
@network_options
@click.option("--every", callback=whole_option(1, 100000), metavar="N", help="Take each Nth picture.")
@click.option(
    "--json", "json_file", callback=path_option, metavar="FILE", help="Also write the figures here."
)
def command(
    folders: tuple[Path, ...],
    model: str,
    backend: str,
    precision: str,
    threads: int | None,
    every: int | None,
    json_file: Path | None,
) -> None:
    """Measure the scores that a network gives rainy pictures and their dry twins.

    SET: folders as `derain evaluate` takes them, with rain of every kind, clips too. What the card of the
    network may give as dry_below is 0.95 times the least score of all rainy pictures; the last column says
    how many of the dry ones that recognises.
    """
    options = EngineOptions(backend, precision, threads, scores=True)
    sets = titled([one for folder in folders for one in find_all(folder, Choice())])
    with open_engine(model, options) as engine:
        restorer = Restorer(engine)
        found = [scored(one.title, moments_of(one, every or 1), restorer) for one in sets]
        limit = dry_below(found)
        name = engine.card.name
    click.echo(f"{'set':<24}{'rainy':>8}{'least':>10}{'median':>10}{'dry':>10}{'most':>10}{'recognised':>14}")
    for one in found:
        click.echo(row(one, limit))
    click.echo(f"{name}: dry below {limit:.3f}")
    if json_file is not None:
        write_json(json_file, name, limit, found)
