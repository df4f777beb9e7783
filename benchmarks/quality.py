"""`derain bench quality`: our networks, others' and filters, by quality and milliseconds, in one run."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import cv2
import numpy as np
import torch

from derain.benchmarks.evaluate import Wishes, measure, sets_of
from derain.benchmarks.evaluation.contest import Contestant, Entrant, opened, parse
from derain.benchmarks.evaluation.outputs import check_apart, reserve, write
from derain.benchmarks.evaluation.sets import CaseSet, Choice, check
from derain.benchmarks.evaluation.summary import Row, finite, models_of
from derain.benchmarks.machine import machine
from derain.benchmarks.peers.classic import RAIN, Classic
from derain.benchmarks.peers.critic import Critic
from derain.benchmarks.peers.known import PEERS, Peer, loaded
from derain.benchmarks.quality_chart import Kind, Panel, Point, chart
from derain.benchmarks.turns import seconds_in_turns
from derain.engines.card import ModelCard, read_card
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.models import find, shipped
from derain.pipeline.commands.options import whole_option
from derain.pipeline.sinks.publish import Publication
from derain.train.evaluate import RGB, Score

FILTERS = tuple(one for one in RAIN if one.name.startswith(("median", "bilateral")))
"""With Eigen's settings for rain."""
FRAME = (1280, 720)
"""Width and height of the frame that is timed."""
SLOW = 2.0
"""Seconds; a method whose frame takes longer is timed once."""


@dataclass(frozen=True)
class Model:
    """A model file; `name`: as the tables show it, unlike any other's."""

    name: str
    kind: Kind
    entrant: Entrant
    card: ModelCard


@dataclass(frozen=True)
class Field:
    """Who is to take part."""

    filters: Sequence[Classic] = FILTERS
    models: Sequence[Model] = ()
    peers: Sequence[Peer] = ()

    def only(self, names: Sequence[str]) -> "Field":
        """Those named; all without a name. Raises UsageError for one that nobody has."""
        known = names_of(self.filters) + names_of(self.models) + names_of(self.peers)
        if unknown := [name for name in names if name not in known]:
            raise UsageError(f"--method knows {'; '.join(known)}, not {unknown[0]!r}")
        if not names:
            return self
        return Field(
            [one for one in self.filters if one.name in names],
            [one for one in self.models if one.name in names],
            [one for one in self.peers if one.name in names],
        )


@dataclass(frozen=True)
class Method:
    """A contestant of this kind; `sha256`: of a model's weights."""

    contestant: Contestant
    kind: Kind
    sha256: str = ""


@dataclass(frozen=True)
class Speed:
    """Milliseconds a frame at the median of `timed` frames."""

    ms: float
    timed: int


@dataclass(frozen=True)
class Figures:
    """A method, measured; `scores` by the title of the set."""

    name: str
    kind: Kind
    backend: str
    precision: str
    sha256: str
    speed: Speed
    scores: Mapping[str, Score]


def names_of(methods: Sequence[Classic] | Sequence[Model] | Sequence[Peer]) -> list[str]:
    return [one.name for one in methods]


def models(files: Sequence[str]) -> list[Model]:
    """The shipped networks, then `files` by the names on their cards; a name that another has already is
    followed by what the user wrote.

    Raises UsageError for a file without a good card.
    """
    ours = [Model(path.stem, "ours", Entrant(path.stem, ""), read_card(path)) for path in shipped()]
    names = Counter(names_of(ours) + names_of(FILTERS) + names_of(PEERS))
    given = [parse(text) for text in dict.fromkeys(files) if text not in names]
    cards = [read_card(find(entrant.model)) for entrant in given]
    names.update(card.name for card in cards)
    return ours + [
        Model(card.name if names[card.name] == 1 else f"{card.name} ({entrant.text})", "model", entrant, card)
        for entrant, card in zip(given, cards, strict=True)
    ]


@contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Filters and torch run on so many threads, as engines do that are opened with as many."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


@contextmanager
def ready(who: Field, critics: Sequence[Critic], threads: int) -> Iterator[list[Method]]:
    """All of them, ready to restore: filters, models, and of the peers the `critics`."""
    entrants = [model.entrant for model in who.models]
    with on_threads(threads), opened(entrants, EngineOptions(threads=threads)) as engines:
        yield [
            *(Method(Contestant(one.name, "opencv", "", one.restore), "filter") for one in who.filters),
            *(
                Method(replace(engine, label=model.name), model.kind, model.card.sha256)
                for engine, model in zip(engines, who.models, strict=True)
            ),
            *(Method(Contestant(one.name, "torch", "fp32", one.restore), "peer") for one in critics),
        ]


def speeds(contestants: Sequence[Contestant], frame: RGB, frames: int) -> dict[str, Speed]:
    """By label, of `frames` frames in turns, after one that is not counted; of one for SLOW ones."""
    times = seconds_in_turns(contestants, frame, frames, SLOW)
    return {label: Speed(float(np.median(taken)) * 1e3, len(taken)) for label, taken in times.items()}


def frame_of(sets: Sequence[CaseSet]) -> RGB:
    """The first rainy picture there is, as large as FRAME."""
    rainy = next(iter(sets[0].cases[0].moments())).rainy
    return np.asarray(cv2.resize(rainy, FRAME), np.uint8)


def compared(
    methods: Sequence[Method], sets: Sequence[CaseSet], frames: int
) -> tuple[list[Figures], list[Row]]:
    """(the methods' figures, the sets'), of one run: times first, then each set."""
    contestants = [method.contestant for method in methods]
    tell(f"{len(methods)} methods, times a frame")
    speed = speeds(contestants, frame_of(sets), frames)
    wishes = Wishes(match="", twins=0, pictures=0, show="worst", sheet=0)
    rows = []
    with ThreadPoolExecutor(4) as pool:
        for one in sets:
            tell(f"{one.title}: {len(one.cases)} through each")
            rows.append(measure(one, contestants, wishes, None, pool.map)[0])
    scores = [
        {row["title"]: Score(**models_of(row)[index]["restored"]) for row in rows}
        for index in range(len(methods))
    ]
    return [
        Figures(one.label, method.kind, one.backend, one.precision, method.sha256, speed[one.label], of)
        for method, one, of in zip(methods, contestants, scores, strict=True)
    ], rows


def markdown(figures: Sequence[Figures], rows: Sequence[Row]) -> str:
    """PSNR-Y in dB and SSIM-Y of each set, and milliseconds, as a table."""
    titles = [row["title"] for row in rows]
    rainy = [cell(Score(**row["rainy"])) for row in rows]
    lines = [("method", "runs on", *titles, "ms/frame", "frames timed")]
    lines += [("---", "---", *["---:"] * (len(titles) + 2)), ("rainy input", "", *rainy, "", "")]
    for one in figures:
        scores = [cell(one.scores[title]) for title in titles]
        runs = f"{one.backend} {one.precision}".strip()
        lines.append((one.name, runs, *scores, f"{one.speed.ms:,.1f}", str(one.speed.timed)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(score: Score) -> str:
    return f"{score.psnr_y:.2f} / {score.ssim_y:.4f}"


def panels(figures: Sequence[Figures], rows: Sequence[Row]) -> list[Panel]:
    """For the chart, one of each set."""
    return [
        Panel(
            f"{row['title']} ({row['pairs']})",
            row["rainy"]["psnr_y"],
            tuple(
                Point(one.name, one.kind, one.speed.ms, one.scores[row["title"]].psnr_y) for one in figures
            ),
        )
        for row in rows
    ]


def tell(line: str) -> None:
    """Progress: the table alone goes to stdout."""
    click.echo(line, err=True)


def peers_of(folder: Path | None) -> Sequence[Peer]:
    """All where a folder is named. Raises UsageError where it is not there."""
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--peers takes the folder of published weights; {folder} is not a folder")
    return PEERS if folder else ()


def places(json_file: Path | None, chart_file: Path | None) -> list[Publication | None]:
    """Of the outputs, found good before any work. Raises UsageError."""
    if chart_file is not None and chart_file.suffix.lower() != ".png":
        raise UsageError(f"--chart takes a name that ends in .png, not {chart_file}")
    check_apart([path for path in (json_file, chart_file) if path])
    return [reserve(json_file), reserve(chart_file)]


PATH = click.Path(path_type=Path)


@click.command("quality")
@click.option(
    "--set",
    "folders",
    type=PATH,
    multiple=True,
    required=True,
    metavar="PAIRS",
    help="Folder of pairs; repeatable.",
)
@click.option("--model", "files", multiple=True, metavar="FILE", help="Also this .onnx file; repeatable.")
@click.option("--peers", "weights", type=PATH, metavar="FOLDER", help="Published weights.")
@click.option("--method", "names", multiple=True, metavar="NAME", help="Not all, but this; repeatable.")
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Take each n-th pair."
)
@click.option(
    "--frames", default=9, show_default=True, type=click.IntRange(min=1), help="Frames timed of each method."
)
@click.option("--threads", default="2", show_default=True, callback=whole_option(1, 1024), metavar="N")
@click.option("--json", "json_file", type=PATH, help="Also write the figures here.")
@click.option("--chart", "chart_file", type=PATH, metavar="FILE.png", help="Draw quality against time here.")
def command(
    folders: tuple[Path, ...],
    files: tuple[str, ...],
    weights: Path | None,
    names: tuple[str, ...],
    every: int,
    frames: int,
    threads: int,
    json_file: Path | None,
    chart_file: Path | None,
) -> None:
    """Quality against milliseconds at 1280x720: shipped networks, filters, and others' networks.

    Every figure comes of this one run: PSNR and SSIM on Y as derain evaluate counts them, times in turns on
    so many threads. A peer whose weights are missing or do not fit is named and left out.
    """
    outputs = places(json_file, chart_file)
    who = Field(models=models(files), peers=peers_of(weights)).only(names)
    sets = sets_of(folders, (), Choice(every=every))
    check(sets)
    critics, left_out = loaded(who.peers, weights) if weights else ([], {})
    missing = [f"{name} is left out: {why}" for name, why in left_out.items()]
    for line in missing:
        tell(line)
    facts = machine()
    with ready(who, critics, threads) as methods:
        if not methods:
            raise UsageError(f"there is no method to measure; {'; '.join(missing)}")
        figures, rows = compared(methods, sets, frames)
    title = f"{facts['cpu']}, {threads} threads, load {facts['load']:.1f}"
    click.echo("\n".join([title, "", markdown(figures, rows), "", *missing]).strip())
    unit = f"a frame of {FRAME[0]}x{FRAME[1]}"
    content = {
        "machine": facts,
        "torch": str(torch.__version__),
        "threads": threads,
        "frame": FRAME,
        "every": every,
        "sets": [{key: row[key] for key in ("title", "set", "pairs", "rainy")} for row in rows],
        "methods": [asdict(one) for one in figures],
        "left_out": left_out,
    }
    write(outputs[0], json.dumps(finite(content), indent=1, allow_nan=False) + "\n")
    if chart_file is not None:
        write(outputs[1], chart(panels(figures, rows), title, unit))
