"""`derain evaluate MODEL PAIRS...`: how good networks are on pairs they never saw."""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import cv2

from derain.benchmarks.evaluation.contest import Contestant, entrants, opened, published
from derain.benchmarks.evaluation.outputs import Writer, check_apart, output_folder, reserve, safe, write
from derain.benchmarks.evaluation.page import page
from derain.benchmarks.evaluation.run import Measuring, SetResults
from derain.benchmarks.evaluation.seeds import seeds_among
from derain.benchmarks.evaluation.sets import CaseSet, Choice, check, find_all, named_clip, titled
from derain.benchmarks.evaluation.shelf import Sample, Shelf, Show, contact_sheet
from derain.benchmarks.evaluation.summary import Row, finite, summary
from derain.benchmarks.evaluation.tables import as_csv, header, table
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.commands.options import whole_option
from derain.train.evaluate import RGB, Run

SHEET = 6
"""Pairs on the picture of the worst."""


@dataclass(frozen=True)
class Wishes:
    """What is measured and shown of each set. `twins`: clean pictures that are restored too.

    `pictures`: how many thumbnails the page shows, `sheet` how many pairs the picture of the worst.
    """

    match: str
    twins: int
    pictures: int
    show: Show
    sheet: int


def measure(
    one: CaseSet, contestants: Sequence[Contestant], wishes: Wishes, folder: Path | None, run: Run
) -> tuple[Row, list[Sample], list[Sample]]:
    """(summary, samples for the page, samples of the worst) of a set."""
    keep = [Writer(folder / safe(one.title), [c.label for c in contestants])] if folder else []
    measuring = Measuring(contestants, one.cases, wishes.twins, keep, run)
    shown, worst = Shelf(wishes.pictures, wishes.show), Shelf(wishes.sheet)
    results = []
    bar = click.progressbar(
        measuring, len(one.cases), one.title, file=sys.stderr, hidden=not sys.stderr.isatty()
    )
    with bar as done:
        for index, (result, restored) in enumerate(done):
            results.append(result)
            shown.offer(index, result, restored)
            worst.offer(index, result, restored)
    row = summary(SetResults(one.name, one.title, wishes.match, results, measuring.harms), contestants)
    return row, shown.samples, worst.samples


def encoded(sheet: RGB, path: Path) -> bytes:
    """A picture in the format of the path's name. Raises DerainError."""
    done, coded = cv2.imencode(path.suffix, sheet[..., ::-1])
    if not done:
        raise DerainError(f"{path} could not be encoded")
    return coded.tobytes()


def check_sheet(path: Path | None) -> None:
    """Raises UsageError for an ending that no picture has."""
    if path is not None and not cv2.haveImageWriter(str(path)):
        raise UsageError(f"--sheet takes a name that ends in .png, .jpg or .webp, not {path}")


def sets_of(folders: Sequence[Path], clips: Sequence[tuple[Path, Path]], choice: Choice) -> list[CaseSet]:
    """What the user named, each set with its cases. Raises UsageError."""
    if not folders and not clips:
        raise UsageError("there is nothing to measure on; name folders of pairs, or --clip RAINY CLEAN")
    sets = [one for folder in folders for one in find_all(folder, choice)]
    sets += [named_clip(*pair) for pair in clips]
    return titled(sets)


def twins_option(ctx: click.Context, parameter: click.Parameter, text: str) -> int:
    """ "all" or a number."""
    return sys.maxsize if text == "all" else int(whole_option(0, 10**9 - 1)(ctx, parameter, text))


PATH = click.Path(path_type=Path)


@click.command(name="evaluate")
@click.argument("model")
@click.argument("pairs", nargs=-1, type=PATH)
@click.option(
    "--clip", "clips", nargs=2, multiple=True, type=PATH, metavar="RAINY CLEAN", help="Also two clips."
)
@click.option(
    "--frames", is_flag=True, help="The pictures of each set are frames of one clip, by their numbers."
)
@click.option("--against", multiple=True, metavar="MODEL,...", help="Models to measure beside it, in turns.")
@click.option(
    "--peers", type=PATH, help="Folder of published weights: their networks may be named as models."
)
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Take each n-th pair."
)
@click.option("--match", default="", help="Take only pairs whose name contains this.")
@click.option(
    "--no-harm",
    "twins",
    default="8",
    show_default=True,
    callback=twins_option,
    metavar="N|all",
    help="Clean twins of each set to restore too, evenly spread.",
)
@click.option("--json", "json_file", type=PATH, help="Write all figures there.")
@click.option("--csv", "csv_file", type=PATH, help="Write the figures of each picture there.")
@click.option("--html", "html_file", type=PATH, help="Write a page with tables and thumbnails there.")
@click.option(
    "--html-pictures", default=24, show_default=True, type=click.IntRange(0, 500), help="Thumbnails a set."
)
@click.option(
    "--html-show",
    default="worst",
    show_default=True,
    type=click.Choice(["worst", "best", "both"]),
    help="Which ones, by what the first model gained.",
)
@click.option("--sheet", type=PATH, help="Picture of the worst pairs of the last set.")
@click.option("--output", "folder", type=PATH, help="Write the restored pictures in this new folder.")
@click.option("--backend", default="auto", show_default=True, metavar="NAME")
@click.option("--precision", default="auto", show_default=True, metavar="NAME")
@click.option("--threads", type=click.IntRange(min=1), metavar="N")
def command(
    model: str,
    pairs: tuple[Path, ...],
    clips: tuple[tuple[Path, Path], ...],
    frames: bool,
    against: tuple[str, ...],
    peers: Path | None,
    every: int,
    match: str,
    twins: int,
    json_file: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
    html_pictures: int,
    html_show: Show,
    sheet: Path | None,
    folder: Path | None,
    backend: str,
    precision: str,
    threads: int | None,
) -> None:
    """Measure MODEL on sets of PAIRS: PSNR, SSIM, error in the rain and beside it, and flicker.

    PAIRS are folders in any published layout, or with rainy/ and clean/ inside, which may also hold clips:
    video files, or folders of numbered frames. A mask/ beside them says where the rain is; else it is where
    the two differ by more than 30 grey levels. A model is a shipped name or a .onnx file; MODEL@BACKEND gives
    it a backend of its own. With --peers, one of theirs: "PReNet Rain100L", "A2Net". Models whose
    cards tell one recipe and several seeds are told together too: their mean, and how far they lie apart.
    """
    check_sheet(sheet)
    check_apart([path for path in (json_file, csv_file, html_file, sheet, folder) if path])
    places = [reserve(path) for path in (json_file, csv_file, html_file, sheet)]
    named, others = entrants(model, against), published(peers)
    sets = sets_of(pairs, clips, Choice(match, every, frames))
    wishes = Wishes(match, twins, html_pictures if html_file else 0, html_show, SHEET if sheet else 0)
    rows, shelves = [], []
    worst: list[Sample] = []
    options = EngineOptions(backend, precision, threads)
    with (
        output_folder(folder) as made,
        opened(named, options, others) as models,
        ThreadPoolExecutor(4) as pool,
    ):
        check(sets)  # reads every picture, so a wrong model was told before
        together = [text for one in seeds_among(models) for text in (one.mean, one.deviation)]
        click.echo(header([*(one.label for one in models), *together]))
        for one in sets:
            row, shown, worst = measure(one, models, wishes, made, pool.map)
            click.echo(table(row))
            rows.append(row)
            shelves.append(shown)
    write(places[0], json.dumps(finite(rows), indent=1, allow_nan=False) + "\n")
    write(places[1], as_csv(rows))
    if html_file is not None:
        write(places[2], page(rows, shelves))
    if sheet is not None:
        write(places[3], encoded(contact_sheet(worst), sheet))
