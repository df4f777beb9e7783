"""`derain bench engines`: which networks TensorRT-RTX builds for which cards, how large plans are, how long
builds take. It needs no card."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import numpy as np

from derain.benchmarks.machine import machine
from derain.engines import models, trt
from derain.engines.base import failure
from derain.engines.build import BuildOptions, Profile, build_plan
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import ModelFile, open_model
from derain.engines.trt import RTX_CAPABILITIES, Runtime
from derain.engines.trt_graph import PRECISIONS, graph_for
from derain.pipeline.commands.options import path_option

CARDS = ("75", "80", "86", "89", "120")
"""Turing (RTX 20), A100, Ampere (RTX 30), Ada (RTX 40), Blackwell (RTX 50)."""
SHAPES = ("dynamic", "fixed")
SIDE = 64
"""Frames to calibrate on have so many pixels a side, or what the network takes at least."""
CALIBRATED_ON = 2


class Table(NamedTuple):
    """What is built: `groups` of cards, a plan for each group."""

    precisions: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Row:
    """One build. `size`: of the plan in bytes, 0 where it was `refused`, which says why."""

    network: str
    precision: str
    shapes: str
    cards: tuple[str, ...]
    size: int = 0
    seconds: float = 0.0
    refused: str = ""

    @property
    def told(self) -> str:
        """In a cell of a table."""
        return f"{self.size / 1e6:.1f} MB, {self.seconds:.1f} s" if self.size else "no"


def profile_of(file: ModelFile, shapes: str) -> Profile:
    """About 1280x720 as the network takes it; "dynamic": from the smallest frame to four of 1920x1080."""
    multiple = file.card.multiple_of

    def fitted(count: int, height: int, width: int) -> tuple[int, int, int]:
        return count, -(-height // multiple) * multiple, -(-width // multiple) * multiple

    if shapes == "fixed":
        return Profile.fixed(fitted(1, 720, 1280))
    return Profile(fitted(1, 32, 32), fitted(1, 720, 1280), fitted(4, 1080, 1920))


def rows(file: ModelFile, runtime: Runtime, table: Table) -> Iterator[Row]:
    """All builds of a network."""
    for precision in table.precisions:
        with TemporaryDirectory() as folder:
            made = _made(lambda: _in(file, precision, Path(folder)))  # noqa: B023 - called at once
            for shapes in SHAPES:
                for cards in table.groups:
                    yield _built(file.card.name, made, runtime, precision, shapes, cards)


def _made(make: Callable[[], ModelFile]) -> ModelFile | str:
    """The file, or why there is none."""
    try:
        return make()
    except DerainError as error:
        return str(error)


def _built(
    name: str,
    file: ModelFile | str,
    runtime: Runtime,
    precision: str,
    shapes: str,
    cards: tuple[str, ...],
) -> Row:
    row = Row(name, precision, shapes, cards)
    if isinstance(file, str):
        return replace(row, refused=file)
    options = BuildOptions(precision, (profile_of(file, shapes),), file.states, capabilities=cards)
    try:
        # With all that the network gives: attention maps too.
        graph = graph_for(file, EngineOptions(attention=file.attention), precision)
        plan = build_plan(graph, runtime, options)
    except DerainError as error:
        return replace(row, refused=str(error))
    return replace(row, size=len(plan.data), seconds=round(plan.seconds, 2))


def _in(file: ModelFile, precision: str, folder: Path) -> ModelFile:
    """The network as a file for that precision: itself, or its file in 8 bits, made where there is none."""
    beside = {"int8": models.int8_of, "fp8": models.fp8_of}.get(precision)
    if beside is None or file.card.precision == precision:
        return file
    if beside(file.path).exists():
        return open_model(beside(file.path))
    return _quantised(file, precision, folder)


def _quantised(file: ModelFile, precision: str, folder: Path) -> ModelFile:
    """Made of a few frames of noise, and memories of noise: what it computes is not looked at here."""
    from derain.train.fp8 import to_fp8  # noqa: PLC0415 - of the extra train
    from derain.train.quantise import check, to_int8, write  # noqa: PLC0415

    output = folder / "quantised.onnx"
    check(file, output)
    side = max(SIDE, file.card.multiple_of)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (CALIBRATED_ON, side, side, 3), np.uint8)
    shapes = {spec.name: spec.shape(1, side, side) for spec in file.states}
    states = [{name: rng.random(shape, np.float32) for name, shape in shapes.items()} for _ in frames]
    try:
        made = (to_int8 if precision == "int8" else to_fp8)(file.graph, list(frames), states)
    except (RuntimeError, ValueError) as error:
        raise failure(error, f"{file.card.name} can't be quantised") from error
    write(made, file.card, output, precision)
    return open_model(output)


def papers(folder: Path, width: float) -> Iterator[ModelFile]:
    """Every network of `derain networks` with random weights, `width` times as wide as its small recipe has
    it; from `folder` where it is there already."""
    from derain.benchmarks.exported import exported  # noqa: PLC0415 - it needs torch

    folder.mkdir(parents=True, exist_ok=True)
    yield from exported(folder, width)


def markdown(found: Sequence[Row]) -> str:
    """A table with a row for each network and group of cards, and below it why what was not built."""
    columns = list(dict.fromkeys((row.precision, row.shapes) for row in found))
    head = ["network", "cards", *(" ".join(column) for column in columns)]
    lines = [head, ["---", "---", *["--:"] * len(columns)]]
    cells = {(row.network, row.cards, row.precision, row.shapes): row.told for row in found}
    for network, cards in dict.fromkeys((row.network, row.cards) for row in found):
        told = [cells.get((network, cards, *column), "") for column in columns]
        lines.append([f"`{network}`", " ".join(cards), *told])
    reasons = dict.fromkeys(
        f"- `{row.network}` in {row.precision}: {row.refused}" for row in found if row.refused
    )
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([table, *(["", *reasons] if reasons else [])]) + "\n"


def written(path: Path, text: str) -> None:
    """Raises DerainError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error


def listed(known: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """The callback of an option that takes some of `known`, with commas between."""

    def parse(_ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        for name in found:
            if name not in known:
                raise UsageError(f"--{parameter.name} takes {', '.join(known)}, not {name!r}")
        return found

    return parse


@click.command("engines")
@click.argument("network", nargs=-1)
@click.option(
    "--cards",
    default=",".join(CARDS),
    show_default=True,
    callback=listed(RTX_CAPABILITIES),
    help="Compute capabilities.",
)
@click.option(
    "--precisions",
    default="fp32,fp16,int8",
    show_default=True,
    callback=listed(PRECISIONS),
    help="What to build in.",
)
@click.option("--apart", is_flag=True, help="A plan for each card; otherwise one for all of them.")
@click.option(
    "--papers",
    "folder",
    callback=path_option,
    metavar="FOLDER",
    help="Build every network of derain networks too, with random weights, kept in FOLDER.",
)
@click.option(
    "--width",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0.01, 4),
    help="How wide those are.",
)
@click.option(
    "--json", "json_file", callback=path_option, metavar="FILE", help="Also write all figures here."
)
@click.option("--markdown", "markdown_file", callback=path_option, metavar="FILE", help="Also write a table.")
def command(
    network: tuple[str, ...],
    cards: tuple[str, ...],
    precisions: tuple[str, ...],
    apart: bool,
    folder: Path | None,
    width: float,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Build plans of NETWORK..., shipped names or .onnx files, by TensorRT-RTX, for cards that need not be
    here; of all shipped networks where none is given."""
    runtime = trt.load("tensorrt_rtx")
    table = Table(precisions, tuple((card,) for card in cards) if apart else (cards,))
    named = [models.find(name) for name in network] or ([] if folder else list(models.shipped()))
    found: list[Row] = []
    files = (open_model(path) for path in named)
    for file in chain(files, papers(folder, width) if folder else ()):
        for row in rows(file, runtime, table):
            found.append(row)
            told = f"no: {row.refused}" if row.refused else row.told
            click.echo(f"{row.network:<20}{row.precision:<6}{row.shapes:<9}{','.join(row.cards):<18}{told}")
        # After each network: exporting and building them all takes minutes, and may be ended.
        if json_file:
            content = {"runtime": runtime.told, "machine": machine(), "rows": [asdict(row) for row in found]}
            written(json_file, json.dumps(content, indent=1) + "\n")
        if markdown_file:
            written(markdown_file, f"By {runtime.told}.\n\n{markdown(found)}")
