"""Tells people and programs how a live run goes.

People get lines on stderr: what runs, each change, every few seconds how every camera does, and the sum.
Programs get JSON on stdout (`--json`), one object a line, times in seconds unless the name says ms, unknown
values null:

start    cameras: [{name, source}], outputs, model, model_version, model_reason, backend, backend_reason,
         precision, precision_reason, bypass_reason, instant, policy, max_latency_ms (null for none),
         steps (what may be given up to keep it, in order)
state    camera, state (opening, live, stalled, frozen, away, ended), said (why, "" for nothing to say)
step     camera, steps (all that is given up now, "" for nothing), down (whether that is more than before),
         reason
engine   as of `derain video --json`
figures  once a second: seconds, memory (bytes), model, backend, precision, cameras: [{name, state,
         camera_fps, restored_fps, decoded, restored, dropped, late, passed, held, reconnects,
         latency {p50_ms, p95_ms, p99_ms}, stages {wait, restore, hand-over: the same}, rain, drops, steps,
         strength}]
log      what the program has to say about itself (`--log-level`): level, logger, message
end      status (done or failed), exit_code, message, and of a run that began: seconds, cameras as in figures

`end` comes exactly once, and last; where the command line itself is wrong nothing comes but the exit code 2
and a sentence on stderr.
"""

import logging
import time
from collections import deque
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from derain.pipeline.json_lines import JsonLines
from derain.pipeline.live.contract import Move
from derain.pipeline.live.exposition import text_of
from derain.pipeline.live.figures import in_ms
from derain.pipeline.live.seam import CameraFigures, Figures, State
from derain.pipeline.metrics import Change
from derain.pipeline.progress import counted, in_words, say
from derain.pipeline.prometheus import MetricsFile

PLAIN_EVERY = 5.0
JSON_EVERY = 1.0
"""Seconds between two lines of figures."""
LEFT_OUT = ("shown", "said", "width", "height", "latency", "stages", "histograms")


@dataclass(frozen=True)
class LiveFacts:
    """What runs; see the start event. `cameras`: (name, source as anyone may see it)."""

    cameras: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    model: str
    model_version: str
    backend: str
    precision: str
    policy: str
    max_latency: float | None = None
    steps: tuple[str, ...] = ()
    model_reason: str = ""
    backend_reason: str = ""
    precision_reason: str = ""
    bypass_reason: str = ""
    instant: str = ""

    def line(self) -> str:
        """One line for people."""
        cameras = ", ".join(f"{name} ({shown})" if name != shown else name for name, shown in self.cameras)
        budget = "" if self.max_latency is None else f", at most {self.max_latency * 1e3:g} ms"
        instant = self.instant and f", {self.instant}"
        where = f", to {', '.join(self.outputs)}" if self.outputs else ""
        return (
            f"live {cameras}: model {in_words(f'{self.model} {self.model_version}', self.model_reason)}, "
            f"{in_words(self.backend, self.backend_reason)} "
            f"{in_words(self.precision, self.precision_reason)}{instant}, "
            f"policy {self.policy}{budget}{where}"
        )


@dataclass(frozen=True)
class LiveEnd:
    """How a run ended. `figures`: its last ones, None where it never began."""

    status: str
    exit_code: int
    message: str
    figures: Figures | None = None


class LiveTeller(Protocol):
    """Is told how a live run goes, all in one thread; used in a `with`."""

    def start(self, facts: LiveFacts) -> None: ...

    def state(self, camera: str, state: State, said: str) -> None: ...

    def step(self, move: Move) -> None: ...

    def changed(self, change: Change) -> None: ...

    def figures(self, figures: Figures) -> None: ...

    def end(self, end: LiveEnd) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class QuietLiveTeller:
    """Says what runs, what changes and what it came to. Errors are said by whoever catches them."""

    def start(self, facts: LiveFacts) -> None:
        """The first line."""
        say(facts.line())

    def state(self, camera: str, state: State, said: str) -> None:
        """A line."""
        say(f"{camera} is {state}" + (f": {said}" if said else ""))

    def step(self, move: Move) -> None:
        """A line."""
        say(move.line())

    def changed(self, change: Change) -> None:
        """A line."""
        say(change.line())

    def figures(self, figures: Figures) -> None:
        """Nothing."""

    def end(self, end: LiveEnd) -> None:
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
            self.end(LiveEnd("failed", getattr(error, "exit_code", 1), str(error)))


class PlainLiveTeller(QuietLiveTeller):
    """A line for each camera every few seconds too."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def figures(self, figures: Figures) -> None:
        """Lines, unless the last ones are fresh."""
        if time.monotonic() - self._told >= PLAIN_EVERY:
            self._told = time.monotonic()
            for camera in figures.cameras:
                say(line_of(camera))


class KeptLog(logging.Handler):
    """Keeps what any thread logs for the one that writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: deque[dict[str, str]] = deque(maxlen=1000)

    def emit(self, record: logging.LogRecord) -> None:
        """Kept."""
        told = {"level": record.levelname.lower(), "logger": record.name, "message": self.format(record)}
        self.records.append(told)


class JsonLiveTeller(QuietLiveTeller):
    """JSON lines on stdout, as the head of this file says. `log`: what has been logged is told with them."""

    def __init__(self, log: KeptLog | None = None) -> None:
        self._told = 0.0
        self._lines = JsonLines()
        self._log = log or KeptLog()

    def start(self, facts: LiveFacts) -> None:
        """The start event."""
        told = asdict(facts)
        told["max_latency_ms"] = None if facts.max_latency is None else facts.max_latency * 1e3
        del told["max_latency"]
        told["cameras"] = [{"name": name, "source": shown} for name, shown in facts.cameras]
        self._write("start", told)

    def state(self, camera: str, state: State, said: str) -> None:
        """A state event."""
        self._write("state", {"camera": camera, "state": state.value, "said": said})

    def step(self, move: Move) -> None:
        """A step event."""
        told = {"camera": move.camera, "steps": move.step.words, "down": move.down, "reason": move.reason}
        self._write("step", told)

    def changed(self, change: Change) -> None:
        """An engine event."""
        self._write("engine", asdict(change))

    def figures(self, figures: Figures) -> None:
        """A figures event, unless the last one is fresh."""
        self._tell_log()
        if time.monotonic() - self._told >= JSON_EVERY:
            self._told = time.monotonic()
            self._write("figures", fields_of(figures))

    def end(self, end: LiveEnd) -> None:
        """The end event."""
        told = {"status": end.status, "exit_code": end.exit_code, "message": end.message}
        self._write("end", told | ({} if end.figures is None else fields_of(end.figures)))

    def _write(self, event: str, told: dict[str, Any]) -> None:
        self._tell_log()
        self._lines.write(event, told)

    def _tell_log(self) -> None:
        while self._log.records:
            self._lines.write("log", self._log.records.popleft())


class MetricsLiveTeller:
    """Keeps a file for Prometheus fresh beside what `teller` says; see MetricsFile."""

    def __init__(self, teller: LiveTeller, path: Path) -> None:
        self._teller, self._file = teller, MetricsFile(path)
        self.start, self.state, self.step = teller.start, teller.state, teller.step
        self.changed = teller.changed

    def figures(self, figures: Figures) -> None:
        """Writes the file, unless it is fresh."""
        self._teller.figures(figures)
        if self._file.stale:
            self._file.write(text_of(figures))

    def end(self, end: LiveEnd) -> None:
        """Writes what the run came to."""
        if end.figures is not None:
            self._file.write(text_of(end.figures))
        self._teller.end(end)

    def __enter__(self) -> Self:
        self._teller.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._teller.__exit__(kind, error, trace)


def choose(quiet: bool) -> LiveTeller:
    """The teller of people."""
    return QuietLiveTeller() if quiet else PlainLiveTeller()


def fields_of(figures: Figures) -> dict[str, Any]:
    """Figures for JSON."""
    told = {one.name: getattr(figures, one.name) for one in fields(figures) if one.name != "cameras"}
    return told | {"cameras": [fields_of_camera(camera) for camera in figures.cameras]}


def fields_of_camera(camera: CameraFigures) -> dict[str, Any]:
    """A camera's figures for JSON, without what other events and the text for Prometheus have."""
    told = {one.name: getattr(camera, one.name) for one in fields(camera) if one.name not in LEFT_OUT}
    stages = {name: in_ms(spans) for name, spans in camera.stages.items()}
    return told | {"state": camera.state.value, "latency": in_ms(camera.latency), "stages": stages}


def line_of(camera: CameraFigures) -> str:
    """One camera now, for people."""
    if camera.state is not State.LIVE and not camera.restored_fps:
        return f"{camera.name}: {camera.state}"
    latency = camera.latency
    times = "/".join(f"{one * 1e3:.0f}" for one in (latency.p50, latency.p95, latency.p99))
    rain = "" if camera.rain is None else f", rain {camera.rain:.2f}"
    late = f", {camera.late} late" if camera.late else ""
    steps = f", {camera.steps}" if camera.steps else ""
    return (
        f"{camera.name}: {camera.camera_fps:.1f} fps, {camera.restored_fps:.1f} restored, "
        f"latency {times} ms, {camera.dropped} dropped{late}{rain}{steps}"
    )


def summary(figures: Figures, why: str) -> str:
    """What a run came to, in one line."""
    parts = [
        f"{camera.name}: {counted(camera.restored)} restored, {camera.dropped} dropped"
        + (f", {camera.passed} as they came" if camera.passed else "")
        + (f", {camera.late} late" if camera.late else "")
        + (f", {camera.reconnects} reconnects" if camera.reconnects else "")
        for camera in figures.cameras
    ]
    return f"{why} after {figures.seconds:.1f} s; " + "; ".join(parts)
