"""Tells people and programs how a run goes.

People get lines on stderr: first what runs (model, backend, precision, tiles), then a bar on a terminal or a
plain line every few seconds elsewhere, last what was done. Programs get JSON, one object a line, on stdout
(`--json`), times in seconds unless the name says ms, unknown values null:

start     input, outputs, model, model_version, backend, precision, tiles, width, height, frames (expected),
          precision_reason, model_reason (why these, "" where they were asked for), backend_reason (why no
          faster one, "" where it was asked for or is the fastest),
          bypass (auto or off), bypass_reason (who looks for rain, why it is off, "" if asked for),
          instant (which backend opens meanwhile, why none does, "" if not asked for),
          decoder (nvdec or software), decoder_reason (why pictures do not stay on the card, "" if that was
          not wanted or they do), encoder, encoder_reason (why it is not the card's, if that was wanted)
engine    another engine restores: frame (the first that it does, counted from 0), backend, precision, before
          (the engine that did, "" where another was to take over and did not), reason
progress  frames (written), expected, held, seconds, fps (lately), eta,
          stages: {decode, restore, encode: {p50_ms, p99_ms}},
          rain, of a network with an attention map only: {score (0..1, of the last frame that was looked at),
          judge (network or glance), tile_scores, mean and greatest (of frames the network looked at),
          frames, bypassed, tiles, skipped}
end       status (done, short, interrupted or failed), exit_code, message, files (those that now exist),
          frames, held, seconds, fps, stages; these five are null where the run never started;
          resets, of a recurrent network only: how often it began anew (a cut, a gap, damage); rain, as above

Each line has `event`, its name. `end` comes exactly once, and last; where the command line itself is wrong
nothing comes but the exit code 2 and a sentence on stderr.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from derain.pipeline.json_lines import JsonLines
from derain.pipeline.metrics import Change, Rain, Snapshot, StageTimes
from derain.pipeline.runner import Interrupted, Report

PLAIN_EVERY = 5.0
JSON_EVERY = 0.5
"""Seconds between two lines."""


@dataclass(frozen=True)
class Facts:
    """What runs. `tiles`: in words. `frames`: expected, None where unknown; size in pixels of the input."""

    input: str
    outputs: tuple[str, ...]
    model: str
    model_version: str
    backend: str
    precision: str
    tiles: str
    width: int
    height: int
    frames: int | None
    precision_reason: str = ""
    backend_reason: str = ""
    model_reason: str = ""
    bypass: str = "off"
    bypass_reason: str = ""
    instant: str = ""
    decoder: str = "software"
    decoder_reason: str = ""
    encoder: str = ""
    encoder_reason: str = ""

    def line(self) -> str:
        """One line for people."""
        frames = "" if self.frames is None else f", about {counted(self.frames)}"
        instant = self.instant and f", {self.instant}"
        return (
            f"model {in_words(f'{self.model} {self.model_version}', self.model_reason)}, "
            f"{in_words(self.backend, self.backend_reason)} "
            f"{in_words(self.precision, self.precision_reason)}{instant}, "
            f"tiles {self.tiles}, bypass {in_words(self.bypass, self.bypass_reason)}{self._codecs()}, "
            f"{self.width}x{self.height}{frames}"
        )

    def _codecs(self) -> str:
        """What decodes and encodes, where a card does it or was to."""
        decoder, encoder = "", ""
        if self.decoder != "software" or self.decoder_reason:
            decoder = f", decoder {in_words(self.decoder, self.decoder_reason)}"
        if self.encoder.endswith("_nvenc") or self.encoder_reason:
            encoder = f", encoder {in_words(self.encoder, self.encoder_reason)}"
        return decoder + encoder


def in_words(taken: str, reason: str) -> str:
    """What was taken, with why where it was not asked for."""
    return f"{taken} ({reason})" if reason else taken


@dataclass(frozen=True)
class End:
    """How a run ended: `status` as in the JSON; `report` None where it never started."""

    status: str
    exit_code: int
    message: str
    files: tuple[Path, ...] = ()
    report: Report | None = None


class Teller(Protocol):
    """Is told how a run goes, all in one thread; used in a `with`."""

    def start(self, facts: Facts) -> None: ...

    def update(self, snapshot: Snapshot) -> None: ...

    def changed(self, change: Change) -> None: ...

    def end(self, end: End) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class QuietTeller:
    """Says what runs and what was done, nothing in between. Errors are said by whoever catches them."""

    def start(self, facts: Facts) -> None:
        """The first line."""
        say(facts.line())

    def update(self, snapshot: Snapshot) -> None:
        """Nothing."""

    def changed(self, change: Change) -> None:
        """A line."""
        say(change.line())

    def end(self, end: End) -> None:
        """The last line, unless an error is on its way to be said."""
        if end.status != "failed":
            say(end.message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tells the end that an error makes."""
        if error is not None:
            self.end(end_of(error))


class PlainTeller(QuietTeller):
    """A line every few seconds, for log files."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def update(self, snapshot: Snapshot) -> None:
        """A line, unless the last one is fresh."""
        if time.monotonic() - self._told >= PLAIN_EVERY:
            self._told = time.monotonic()
            of = "" if snapshot.expected is None else f" of about {snapshot.expected}"
            say(f"{snapshot.frames}{of} frames, {rates(snapshot)}")


class BarTeller(QuietTeller):
    """A bar on the terminal; no thread of its own, so that it needs nobody to end it."""

    def __init__(self) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rates]}"))
        self._bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
        self._task: TaskID | None = None

    def update(self, snapshot: Snapshot) -> None:
        """Draws the bar anew."""
        if self._task is None:
            self._task = self._bar.add_task("", total=snapshot.expected, rates="")
            self._bar.start()
        self._bar.update(self._task, completed=snapshot.frames, rates=rates(snapshot), refresh=True)

    def end(self, end: End) -> None:
        """Takes the bar away before the last line."""
        self._bar.stop()
        super().end(end)


class JsonTeller(QuietTeller):
    """JSON lines on stdout, as the head of this file says."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._lines = JsonLines()

    def start(self, facts: Facts) -> None:
        """The start event."""
        self._lines.write("start", asdict(facts))

    def update(self, snapshot: Snapshot) -> None:
        """A progress event, unless the last one is fresh."""
        if time.monotonic() - self._told >= JSON_EVERY:
            self._told = time.monotonic()
            fields = asdict(snapshot) | {"stages": milliseconds(snapshot.stages)}
            del fields["engines"]  # each was an event of its own
            self._lines.write("progress", without_none(fields, "rain"))

    def changed(self, change: Change) -> None:
        """An engine event."""
        self._lines.write("engine", asdict(change))

    def end(self, end: End) -> None:
        """The end event."""
        report = end.report
        done = {name: getattr(report, name, None) for name in ("frames", "held", "seconds", "fps")}
        if report is not None:
            further = {"resets": report.resets, "rain": report.rain and asdict(report.rain)}
            done |= without_none(further, *further)
        stages = None if report is None else milliseconds(report.stages)
        fields = {"status": end.status, "exit_code": end.exit_code, "message": end.message}
        self._lines.write(
            "end", {**fields, "files": [str(path) for path in end.files], **done, "stages": stages}
        )


def counted(frames: int) -> str:
    """ "1 frame", "2 frames"."""
    return f"{frames} frame" if frames == 1 else f"{frames} frames"


def times(count: int) -> str:
    """ "once", "2 times"."""
    return "once" if count == 1 else f"{count} times"


def choose(as_json: bool, quiet: bool) -> Teller:
    """The teller for the options and the place stderr goes to."""
    if as_json:
        return JsonTeller()
    if quiet:
        return QuietTeller()
    return BarTeller() if sys.stderr.isatty() else PlainTeller()


def end_of(error: BaseException) -> End:
    """The end that an error makes of a run."""
    if isinstance(error, Interrupted):
        kept = ", ".join(str(path) for path in error.partials) or "nothing"
        message = f"interrupted after {counted(error.report.frames)}; kept: {kept}"
        return End("interrupted", 130, message, error.partials, error.report)
    if isinstance(error, KeyboardInterrupt):
        return End("interrupted", 130, "interrupted before the first frame; nothing was written")
    return End("failed", getattr(error, "exit_code", 1), str(error))


def end_of_report(report: Report, files: tuple[Path, ...]) -> End:
    """The end of a run that came through, in one line."""
    held = f", {report.held} held because they were damaged" if report.held else ""
    resets = f", the network begun anew {times(report.resets)}" if report.resets else ""
    rain = "" if report.rain is None else seen_in_all(report.rain)
    where = ", ".join(str(path) for path in files)
    rate = f"{report.seconds:.1f} s ({report.fps:.1f} fps)"
    message = f"{counted(report.frames)} in {rate}{held}{resets}{rain}, written to {where}"
    if report.shortfall:
        return End("short", 1, message, files, report)
    return End("done", 0, message, files, report)


def say(text: str) -> None:
    """One line for people."""
    click.echo(f"derain: {text}", err=True)


def rates(snapshot: Snapshot) -> str:
    """Frames a second, median stage times, rain and the time to go."""
    stages = ", ".join(f"{name} {times.p50 * 1e3:.1f} ms" for name, times in snapshot.stages.items())
    rain = "" if snapshot.rain is None else seen_now(snapshot.rain)
    to_go = "" if snapshot.eta is None else f", {clock(snapshot.eta)} to go"
    return f"{snapshot.fps:.1f} fps, {stages}{rain}{to_go}"


def seen_now(rain: Rain) -> str:
    """The score of the last frame, and what was saved so far."""
    score = "" if rain.score is None else f", rain {rain.score:.2f}"
    return score + saved(rain)


def seen_in_all(rain: Rain) -> str:
    """The mean and the greatest score of a run, and what was saved."""
    score = "" if rain.mean is None else f", rain {rain.mean:.2f} ({rain.greatest:.2f} at most)"
    return score + saved(rain)


def saved(rain: Rain) -> str:
    """What the network was not run on, where it is anything."""
    frames = f", {rain.bypassed} of {rain.frames} frames bypassed" if rain.bypassed else ""
    return frames + (f", {rain.skipped} of {rain.tiles} tiles skipped" if rain.skipped else "")


def without_none(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The fields without those of `names` that are None."""
    return {name: value for name, value in fields.items() if value is not None or name not in names}


def clock(seconds: float) -> str:
    """Seconds as H:MM:SS or M:SS."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def milliseconds(stages: Mapping[str, StageTimes]) -> dict[str, dict[str, float]]:
    """p50 and p99 by stage, in ms, for JSON."""
    return {
        name: {"p50_ms": round(times.p50 * 1e3, 3), "p99_ms": round(times.p99 * 1e3, 3)}
        for name, times in stages.items()
    }
