"""`derain bench degradations`: how many rainy patches one core makes in a second."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from derain.benchmarks.machine import machine
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.commands.options import path_option, whole_option
from derain.train.commands.options import seed_option
from derain.train.degradations.compose import KINDS, Shot, make
from derain.train.degradations.presets import PRESETS
from derain.train.degradations.rain import Picture

SMALLEST, LARGEST = 16, 4096

Sampler = Callable[[np.random.Generator, int, int], Shot]


@dataclass(frozen=True)
class Subject:
    """A `kind` ("rain", "view" or "preset") of step or shot, its `name`, and how a shot of it is drawn."""

    kind: str
    name: str
    sample: Sampler


@dataclass(frozen=True)
class Rate:
    """`patches_per_second`: of one core, over all patches of a repeat, at the median of the repeats.
    `median_ms` and `slowest_ms`: one patch, in milliseconds of CPU."""

    kind: str
    name: str
    patches_per_second: float
    median_ms: float
    slowest_ms: float


def subjects() -> tuple[Subject, ...]:
    """Every kind of step alone, then every preset."""
    kinds = tuple(Subject("view" if hasattr(k, "both") else "rain", k.name, alone(k.sample)) for k in KINDS)
    return kinds + tuple(Subject("preset", preset.name, preset.sample) for preset in PRESETS)


def alone(sample: Callable[[np.random.Generator, int, int], object]) -> Sampler:
    """A shot of one step."""
    return lambda rng, height, width: Shot((sample(rng, height, width),))


def scene(size: int) -> Picture:
    """A made picture of (size, size, 3): smooth colours, edges and texture, which keep a codec busy."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.random((5, 5, 3), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    blocks = cv2.resize(rng.random((12, 12, 3), np.float32), (size, size), interpolation=cv2.INTER_NEAREST)
    texture = rng.random((size, size, 1), np.float32)
    return np.asarray(np.clip(0.6 * smooth + 0.3 * blocks + 0.1 * texture, 0, 1), np.float32)


def measure(subject: Subject, size: int, count: int, repeats: int, seed: int) -> Rate:
    """Draws and makes `count` patches of `size` pixels a side, `repeats` times over. Patch i depends on
    (seed, i) alone, so that each repeat does the same work.

    CPU time is counted, not the clock's: another program on the core does not make the rain slower.
    """
    clean = scene(size)
    make(clean, subject.sample(np.random.default_rng([seed, 0]), size, size))  # whatever is set up once
    times = np.empty((repeats, count))
    for repeat in range(repeats):
        for index in range(count):
            began = time.process_time()
            make(clean, subject.sample(np.random.default_rng([seed, index]), size, size))
            times[repeat, index] = time.process_time() - began
    seconds = max(statistics.median(times.sum(axis=1)), 1e-9)
    return Rate(
        subject.kind, subject.name, count / seconds, 1e3 * float(np.median(times)), 1e3 * float(times.max())
    )


def measure_all(size: int, count: int, repeats: int, seed: int, tell: Callable[[Rate], None]) -> list[Rate]:
    """Every subject on one core; `tell` gets each rate as it comes."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rates = []
        for subject in subjects():
            rates.append(measure(subject, size, count, repeats, seed))
            tell(rates[-1])
        return rates
    finally:
        cv2.setNumThreads(threads)


def row(rate: Rate) -> str:
    """One line of the table."""
    return (
        f"{rate.kind:<8}{rate.name:<16}{rate.patches_per_second:>9.1f}{rate.median_ms:>11.1f}"
        f"{rate.slowest_ms:>12.1f}"
    )


def write_json(path: Path, facts: dict[str, object], rates: Sequence[Rate]) -> None:
    """Machine, what was measured and the rates in one object. Raises DerainError."""
    told = {**facts, "rates": [asdict(rate) for rate in rates]}
    try:
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error


@click.command("degradations")
@click.option("--size", callback=whole_option(SMALLEST, LARGEST), metavar="N", help="A side.  [default: 256]")
@click.option("--count", callback=whole_option(1, 10000), metavar="N", help="Patches.  [default: 20]")
@click.option("--repeats", callback=whole_option(1, 100), metavar="N", help="Times over.  [default: 3]")
@click.option("--seed", callback=seed_option, metavar="N", help="Of what is drawn.  [default: 1]")
@click.option(
    "--json", "json_file", callback=path_option, metavar="FILE", help="Also write the figures here."
)
def command(
    size: int | None, count: int | None, repeats: int | None, seed: int | None, json_file: Path | None
) -> None:
    """Measure how many patches of each kind of rain, view and preset one core draws and makes in a second.

    OpenCV is held to one thread, and CPU time is counted. The rate is over all patches, the slow ones too,
    at the median of the repeats.
    """
    if json_file is not None and not json_file.parent.is_dir():
        raise UsageError(f"there is no folder {json_file.parent} for {json_file.name}; make it first")
    size, count, repeats = size or 256, count or 20, repeats or 3
    seed = 1 if seed is None else seed
    facts = machine()
    click.echo(
        f"{facts['cpu']}, one core, {count} patches of {size}x{size}, {repeats} times over, seed {seed}"
    )
    click.echo(f"{'':<8}{'':<16}{'a second':>9}{'median ms':>11}{'slowest ms':>12}")
    rates = measure_all(size, count, repeats, seed, lambda rate: click.echo(row(rate)))
    if json_file is not None:
        setup = {"size": size, "count": count, "repeats": repeats, "seed": seed}
        write_json(json_file, {"machine": facts, **setup}, rates)
