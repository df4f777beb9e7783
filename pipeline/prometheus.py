"""What a run measures, as Prometheus reads it: a text that names each figure, and a file that is kept fresh.

The file is for the textfile collector of Prometheus' node exporter, which takes each NAME.prom of its folder.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from derain.engines.errors import UsageError
from derain.pipeline.metrics import Change, Rain, Snapshot, StageTimes
from derain.pipeline.progress import End, Facts, Teller
from derain.pipeline.runner import Interrupted, Report

EVERY = 5.0
"""Seconds between two writings."""
SUFFIX = ".prom"

log = logging.getLogger(__name__)


class Figure(NamedTuple):
    """One metric: its name without "derain_", its kind, what it is, its values by what follows the name."""

    name: str
    kind: str
    help: str
    values: Iterable[tuple[str, float]]


def text_of(snapshot: Snapshot) -> str:
    """A run at one moment in the text format that Prometheus reads."""
    return lines_of(figures(snapshot))


def lines_of(figures: Iterable[Figure]) -> str:
    """Figures in that format."""
    lines = []
    for figure in figures:
        name = f"derain_{figure.name}"
        lines += [f"# HELP {name} {figure.help}", f"# TYPE {name} {figure.kind}"]
        lines += [f"{name}{labels} {value:.9g}" for labels, value in figure.values]
    return "\n".join(lines) + "\n"


def figures(snapshot: Snapshot) -> Iterator[Figure]:
    """All there is to tell."""
    yield one("frames_total", "counter", "Frames written.", snapshot.frames)
    yield one("frames_held_total", "counter", "Corrupt frames replaced by the last good one.", snapshot.held)
    if snapshot.expected is not None:
        yield one("frames_expected", "gauge", "Frames the input has, about.", snapshot.expected)
    yield one("seconds_total", "counter", "Seconds since the run began.", snapshot.seconds)
    yield one("frames_per_second", "gauge", "Frames written a second, lately.", snapshot.fps)
    yield Figure("stage_seconds", "summary", "Seconds at work on a frame.", quantiles(snapshot.stages))
    waited = [(f'{{stage="{name}"}}', times.waited) for name, times in snapshot.stages.items()]
    yield Figure("stage_waited_seconds_total", "counter", "Seconds a stage stood waiting.", waited)
    if snapshot.rain is not None:
        yield from of_rain(snapshot.rain)
    if snapshot.engines:
        yield from of_engines(snapshot.engines)


def of_engines(changes: Sequence[Change]) -> Iterator[Figure]:
    """Which engine restores since it last was to be another one, and how often it was."""
    taken = sum(bool(change.before) for change in changes)
    yield one("engine_changes_total", "counter", "How often another engine went on.", taken)
    engine = f'{{backend="{changes[-1].backend}",precision="{changes[-1].precision}"}}'
    since = [(engine, changes[-1].frame)]
    yield Figure("engine_since_frame", "gauge", "The engine that restores, and since which frame.", since)


def of_rain(rain: Rain) -> Iterator[Figure]:
    """What was seen of the rain."""
    if rain.score is not None:
        score = (f'{{judge="{rain.judge}"}}', rain.score)
        yield Figure("rain_score", "gauge", "Rain in the last frame looked at, 0 to 1.", [score])
    if rain.tile_scores:
        tiles = [(f'{{tile="{number}"}}', score) for number, score in enumerate(rain.tile_scores)]
        yield Figure("rain_tile_score", "gauge", "Rain in each tile of that frame, row by row.", tiles)
    yield one("frames_seen_total", "counter", "Frames restored or bypassed.", rain.frames)
    yield one("frames_bypassed_total", "counter", "Dry frames that skipped the network.", rain.bypassed)
    yield one("tiles_total", "counter", "Tiles of all frames restored in several.", rain.tiles)
    yield one("tiles_skipped_total", "counter", "Dry tiles that were not computed.", rain.skipped)


def one(name: str, kind: str, words: str, value: float) -> Figure:
    """A figure without labels."""
    return Figure(name, kind, words, [("", value)])


def quantiles(stages: dict[str, StageTimes]) -> Iterator[tuple[str, float]]:
    """The median and the 99th percentile of each stage's seconds a frame, their sum and count."""
    for name, times in stages.items():
        yield f'{{stage="{name}",quantile="0.5"}}', times.p50
        yield f'{{stage="{name}",quantile="0.99"}}', times.p99
        yield f'_sum{{stage="{name}"}}', times.worked
        yield f'_count{{stage="{name}"}}', times.frames


def at_the_end(report: Report) -> Snapshot:
    """A run that is over, as its last moment."""
    return Snapshot(
        *(report.frames, None, report.held, report.seconds, report.fps, 0.0, report.stages),
        rain=report.rain,
        engines=report.engines,
    )


class MetricsFile:
    """A file that is replaced whole, for a collector that may read it at any moment.

    Raises UsageError for a name without SUFFIX and where there is no such folder. A file that can't be
    written later is told once and ends nothing.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != SUFFIX:
            raise UsageError(f"the metrics go to a file {SUFFIX}, as Prometheus takes no other; not {path}")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} for the metrics; make it first")
        self._path = path
        self._written: float | None = None
        self._told = False

    @property
    def stale(self) -> bool:
        """Whether it is time for a new one."""
        return self._written is None or time.monotonic() - self._written >= EVERY

    def write(self, text: str) -> None:
        """Has `text` in it from now on."""
        self._written = time.monotonic()
        temporary = self._path.with_name(f".{self._path.name}.tmp")  # the collector lets it lie
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            if not self._told:
                log.warning("the metrics %s can't be written (%s)", self._path, error.strerror)
            self._told = True


class MetricsTeller:
    """Keeps the file `path` fresh beside what `teller` says, and leaves it as it was at the end; see
    MetricsFile."""

    def __init__(self, teller: Teller, path: Path) -> None:
        self._teller, self._file = teller, MetricsFile(path)

    def start(self, facts: Facts) -> None:
        """Passed on."""
        self._teller.start(facts)

    def update(self, snapshot: Snapshot) -> None:
        """Writes the file, unless it is fresh."""
        self._teller.update(snapshot)
        if self._file.stale:
            self._file.write(text_of(snapshot))

    def changed(self, change: Change) -> None:
        """Passed on."""
        self._teller.changed(change)

    def end(self, end: End) -> None:
        """Writes what the run came to."""
        if end.report is not None:
            self._file.write(text_of(at_the_end(end.report)))
        self._teller.end(end)

    def __enter__(self) -> Self:
        self._teller.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Interrupted):
            self._file.write(text_of(at_the_end(error.report)))
        self._teller.__exit__(kind, error, trace)
