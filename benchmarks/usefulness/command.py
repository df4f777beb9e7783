"""`derain bench usefulness`: does it help the machine that looks?"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

from derain.benchmarks.commands import parse_size
from derain.benchmarks.evaluation.contest import Contestant, contestant
from derain.benchmarks.machine import machine
from derain.benchmarks.usefulness.boxes import BoxWatcher, MovingPeople
from derain.benchmarks.usefulness.detector import LAYOUTS, DetectorOptions, OnnxDetector
from derain.benchmarks.usefulness.matches import MatchWatcher
from derain.benchmarks.usefulness.sheet import save, shrunk, write_sheet
from derain.benchmarks.usefulness.views import RGB, Take, Views, check_rain, views
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.registry import open_engine
from derain.pipeline.commands.options import network_options, path_option
from derain.pipeline.source import open_source

PEOPLE, ROAD = "clips/vtest.avi", "clips/solidWhiteRight.mp4"
"""What is looked at in the folder DERAIN_DATA where no clip is named."""


class Watcher(Protocol):
    """A machine that looks: shown every frame in its three views, asked for its figures in the end."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> int:
        """Frames it must see at least."""
        ...

    def see(self, views: Views) -> None: ...

    def rows(self) -> list[dict[str, Any]]:
        """Figures of each view: its name under "view", counts, and shares, None where there is none."""
        ...

    @property
    def note(self) -> str:
        """Why the figures say nothing; "" where they do."""
        ...

    def sheet(self) -> list[RGB]:
        """One frame with what was found drawn: rainy, restored, clean; nothing before it has seen enough."""
        ...


@dataclass(frozen=True)
class Look:
    """A clip and who looks at it; new watchers are made for every rain."""

    take: Take
    watchers: Callable[[], Sequence[Watcher]]


def look(
    take: Take, rain: str, seed: int, restore: Callable[[RGB], RGB], watchers: Sequence[Watcher]
) -> None:
    """Shows a clip with `rain` to the watchers, one frame at a time.

    `restore`: (H, W, 3) uint8 RGB to the same. Raises UsageError for a clip or a rain that won't do, and
    DerainError where the clip has too few frames for a watcher.
    """
    count = 0
    for moment in views(take, rain, seed, restore):
        count += 1
        for watcher in watchers:
            watcher.see(moment)
    for watcher in watchers:
        if count < watcher.needs:
            raise DerainError(
                f"{take.clip} gave {count} frames, and {watcher.name} needs {watcher.needs} or more; "
                "take a longer clip or a smaller --every"
            )


def looks(people: Path | None, road: Path | None, take: Take, detector: OnnxDetector | None) -> list[Look]:
    """What is looked at: the clips named, or both of DERAIN_DATA. Raises UsageError where there is none."""
    if people is None and road is None:
        folder = os.environ.get("DERAIN_DATA")
        if not folder:
            raise UsageError(
                "there is no clip to look at; give --people CLIP (a camera that stands still) or --road CLIP "
                f"(one that moves), or name in DERAIN_DATA a folder with {PEOPLE} and {ROAD}"
            )
        people, road = Path(folder, PEOPLE), Path(folder, ROAD)
    own = [] if detector is None else [lambda: BoxWatcher("detector", lambda: detector)]
    chosen: list[Look] = []
    for clip, maker in ((people, people_watcher), (road, MatchWatcher)):
        if clip is not None:
            chosen.append(Look(Take(clip, take.frames, take.every, take.size), together(maker, *own)))
    return chosen


def people_watcher() -> BoxWatcher:
    """Moving people's boxes."""
    return BoxWatcher("people", MovingPeople, MovingPeople.warm_up)


def together(*makers: Callable[[], Watcher]) -> Callable[[], list[Watcher]]:
    """A maker of one watcher of each."""
    return lambda: [make() for make in makers]


def check(chosen: Sequence[Look], rains: Sequence[str], files: Sequence[Path | None]) -> None:
    """Raises UsageError for what can't be done, before the work begins."""
    for rain in rains:
        check_rain(rain)
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise UsageError(f"there is no folder {file.parent} for {file.name}; make it first")
        if file is not None and file.is_dir():
            raise UsageError(f"{file} is a folder; give the name of a file in it")
    for one in chosen:
        open_source(one.take.clip).close()
        for watcher in one.watchers():
            if one.take.frames < watcher.needs:
                raise UsageError(
                    f"--frames {one.take.frames} is too few: {watcher.name} needs {watcher.needs} or more"
                )


@dataclass(frozen=True)
class Result:
    """What one watcher saw of one clip in one rain: its figures and its pictures."""

    watcher: str
    clip: str
    rain: str
    seed: int
    rows: list[dict[str, Any]]
    note: str
    sheet: list[RGB]

    @property
    def head(self) -> str:
        """What stands above its table."""
        return f"{self.watcher}: {self.clip}, rain {self.rain}, seed {self.seed}"

    @property
    def text(self) -> str:
        """Head, table and note."""
        return "\n".join(filter(None, [self.head, table(self.rows), self.note]))

    @property
    def figures(self) -> dict[str, Any]:
        """All but the pictures, for JSON."""
        said = {"watcher": self.watcher, "clip": self.clip, "rain": self.rain, "seed": self.seed}
        return {**said, "views": self.rows, "note": self.note}


def measured(
    chosen: Sequence[Look], rains: Sequence[str], seed: int, network: Contestant
) -> Iterator[Result]:
    """Every clip in every rain, in turn; a recurrent network follows it where no frame is left out."""
    for one in chosen:
        for rain in rains:
            watchers = one.watchers()
            restore = network.begin("clip" if one.take.every == 1 else "picture")
            look(one.take, rain, seed, restore, watchers)
            for watcher in watchers:
                told = watcher.rows(), watcher.note, shrunk(watcher.sheet())
                yield Result(watcher.name, one.take.clip.name, rain, seed, *told)


def write_json(path: Path, network: dict[str, str], take: Take, results: Sequence[Result]) -> None:
    """Machine, network, which frames, and the figures in one object. Raises DerainError."""
    figures = [result.figures for result in results]
    frames = {"frames": take.frames, "every": take.every, "size": take.size}
    told = {"machine": machine(), "model": network, **frames, "results": figures}
    text = json.dumps(told, indent=1)
    save(path, (text + "\n").encode())


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Figures in columns: shares and means to the hundredth, "-" where there is none."""
    lines = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) + 2 for column in range(len(lines[0]))]
    return "\n".join(
        "".join(
            text.ljust(width) if not column else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def cell(value: Any) -> str:
    """One figure as text."""
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@click.command(name="usefulness")
@click.option("--people", callback=path_option, metavar="CLIP", help="Of a camera that stands still.")
@click.option("--road", callback=path_option, metavar="CLIP", help="Of a camera that moves.")
@click.option(
    "--rain", "rains", multiple=True, default=["joint"], metavar="PRESET", help="Repeatable; or none."
)
@click.option("--seed", default=7, show_default=True, type=click.IntRange(min=0), help="Of the rain.")
@click.option("--frames", default=200, show_default=True, type=click.IntRange(min=1), help="Of each clip.")
@click.option("--every", default=1, show_default=True, type=click.IntRange(min=1), help="Take each n-th.")
@click.option("--size", metavar="SIZE", help="Look at frames of this size.")
@network_options
@click.option("--detector", callback=path_option, metavar="FILE", help="Your own, a .onnx file.")
@click.option(
    "--detector-layout",
    default=LAYOUTS[0].name,
    show_default=True,
    metavar="NAME",
    help="; ".join(f"{layout.name} is {layout.takes}" for layout in LAYOUTS) + ".",
)
@click.option(
    "--detector-score",
    default=0.25,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="The least that counts.",
)
@click.option(
    "--detector-class", multiple=True, type=click.IntRange(min=0), metavar="N", help="Only this. Repeatable."
)
@click.option(
    "--json", "json_file", callback=path_option, metavar="FILE", help="Also write the figures here."
)
@click.option(
    "--sheet", callback=path_option, metavar="FILE", help="A PNG of what was found, frame by frame."
)
def command(
    people: Path | None,
    road: Path | None,
    rains: tuple[str, ...],
    seed: int,
    frames: int,
    every: int,
    size: str | None,
    model: str,
    backend: str,
    precision: str,
    threads: int | None,
    detector: Path | None,
    detector_layout: str,
    detector_score: float,
    detector_class: tuple[int, ...],
    json_file: Path | None,
    sheet: Path | None,
) -> None:
    """Let machines look at clean, rainy and restored frames, and say what they still see.

    People: boxes of moving things by MOG2 on a still camera's clip; recall and precision against those on the
    clean frames, of boxes that overlap by half.

    Road: SIFT matches between successive frames, per pair; the shares of them that agree with the clean
    frames' fundamental matrix and homography, and that stand still; and the share of the clean frames'
    agreeing matches that is kept.

    Without --people and --road the clips are those of DERAIN_DATA. --rain none shows what the network does to
    a dry clip.

    Your own detector looks at each clip too. It has one float32 input (1, 3, H, W), RGB in 0..1, to which the
    frame is letterboxed on grey (where H and W are dynamic: padded to multiples of 32), and one output of a
    --detector-layout, in pixels of that input. Where boxes of a class overlap by more than 0.45, the best
    stays.
    """
    options = DetectorOptions(detector_layout, detector_score, detector_class, threads)
    take = Take(Path(), frames, every, None if size is None else parse_size(size))
    chosen = looks(people, road, take, None if detector is None else OnnxDetector(detector, options))
    check(chosen, rains, (json_file, sheet))
    results = []
    with open_engine(model, EngineOptions(backend, precision, threads)) as engine:
        network = {"name": engine.card.name, "version": engine.card.version, "sha256": engine.card.sha256}
        network |= {"backend": engine.backend, "precision": engine.precision}
        click.echo("model {name} {version}, {backend} {precision}".format(**network))
        for result in measured(chosen, rains, seed, contestant(engine.card.name, engine)):
            click.echo(f"\n{result.text}")
            results.append(result)
    if json_file is not None:
        write_json(json_file, network, take, results)
    if sheet is not None:
        write_sheet(sheet, [(result.head, result.sheet) for result in results])
