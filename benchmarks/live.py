"""`derain bench live`: what live video adds in latency, what it drops, and whether its memory stays flat."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
import psutil

from derain.benchmarks.machine import machine
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.bypass import BypassChoice
from derain.pipeline.commands.live import cameras_of, rate_option, seconds_option, size_option
from derain.pipeline.commands.options import network_options, path_option, whole_option
from derain.pipeline.live.contract import Move
from derain.pipeline.live.desk import Desk
from derain.pipeline.live.job import LiveJob, run_live
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.live.outlets import Outlet
from derain.pipeline.live.seam import CameraFigures, Figures, Packet, Shown, State
from derain.pipeline.live.telling import QuietLiveTeller
from derain.pipeline.metrics import Histogram

SETTLED = 0.25
"""The share of a run after which its memory is looked at: caches fill before."""
LEAST = 30.0
"""Seconds of a run that can say anything of that."""
EVERY = 1.0
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Latency:
    """One camera. Milliseconds from arrival to hand-over over the whole run, the first second left out."""

    camera: str
    frames: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    camera_fps: float
    restored_fps: float
    decoded: int
    dropped: int
    late: int
    passed: int


@dataclass(frozen=True)
class LiveMeasurement:
    """A run. `slope_mib_per_hour`: of the memory, by a line through all but its beginning; None where the run
    was too short for one. `cores`: that the process kept busy at the mean. `steps`: what was given up, and
    taken back, to keep the latency."""

    model: str
    backend: str
    precision: str
    max_latency_ms: float | None
    seconds: float
    cores: float
    memory_mib: float
    slope_mib_per_hour: float | None
    steps: tuple[str, ...]
    cameras: tuple[Latency, ...]


class Watching(QuietLiveTeller):
    """Follows the memory, and says nothing."""

    def __init__(self) -> None:
        self.memory: list[tuple[float, int]] = []
        self.moves: list[str] = []

    def start(self, facts: object) -> None:
        """Nothing."""

    def state(self, camera: str, state: State, said: str) -> None:
        """Nothing."""

    def step(self, move: Move) -> None:
        """Kept."""
        self.moves.append(move.line())

    def figures(self, figures: Figures) -> None:
        """A look at the memory, unless the last one is fresh."""
        if not self.memory or figures.seconds - self.memory[-1][0] >= EVERY:
            self.memory.append((figures.seconds, figures.memory))

    def end(self, end: object) -> None:
        """Nothing."""


class Receiver:
    """A sink that looks how old frames are, and leaves them."""

    def __init__(self) -> None:
        self.latency: dict[str, Histogram] = {}
        self._began: dict[str, float] = {}

    def show(self, shown: Shown) -> None:
        """Counts a frame."""
        began = self._began.setdefault(shown.camera, shown.handed)
        histogram = self.latency.setdefault(shown.camera, Histogram())
        if shown.handed - began >= 1:
            histogram.record(shown.handed - shown.taken.arrived)

    def away(self, camera: str, state: State, said: str) -> None:
        """Nothing."""

    def packet(self, camera: str, packet: Packet) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def measure(job: LiveJob) -> LiveMeasurement:
    """Runs it for its duration. Raises UsageError and DerainError as it does."""
    watching, receiver, process = Watching(), Receiver(), psutil.Process()
    before, began = process.cpu_times(), time.monotonic()

    def outlets(desk: Desk) -> Sequence[Outlet]:
        return [Outlet("the benchmark", receiver)]

    figures = run_live(job, watching, outlets)
    after, seconds = process.cpu_times(), time.monotonic() - began
    return LiveMeasurement(
        model=figures.model,
        backend=figures.backend,
        precision=figures.precision,
        max_latency_ms=None if job.max_latency is None else job.max_latency * 1e3,
        seconds=seconds,
        cores=(after.user + after.system - before.user - before.system) / seconds,
        memory_mib=figures.memory / 2**20,
        slope_mib_per_hour=slope(watching.memory),
        steps=tuple(watching.moves),
        cameras=tuple(latency_of(camera, receiver, seconds) for camera in figures.cameras),
    )


def latency_of(camera: CameraFigures, receiver: Receiver, seconds: float) -> Latency:
    """What a camera's frames took, and how many there were."""
    histogram = receiver.latency.get(camera.name, Histogram())
    p50, p95, p99 = (histogram.percentile(percent) * 1e3 for percent in (50, 95, 99))
    return Latency(
        camera=camera.name,
        frames=histogram.count,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        camera_fps=camera.decoded / seconds,
        restored_fps=camera.restored / seconds,
        decoded=camera.decoded,
        dropped=camera.dropped,
        late=camera.late,
        passed=camera.passed,
    )


def slope(memory: Sequence[tuple[float, int]]) -> float | None:
    """MiB an hour of (seconds, bytes), without the beginning."""
    if not memory or memory[-1][0] < LEAST:
        return None
    kept = [(seconds, size) for seconds, size in memory if seconds >= SETTLED * memory[-1][0]]
    seconds, sizes = np.array(kept, np.float64).T
    return float(np.polyfit(seconds / 3600, sizes / 2**20, 1)[0])


def table(measured: LiveMeasurement) -> str:
    """As plain text."""
    growth = measured.slope_mib_per_hour
    memory = "" if growth is None else f", {growth:+.0f} MiB an hour"
    head = (
        f"{measured.model}, {measured.backend} {measured.precision}, {measured.seconds:.0f} s, "
        f"{measured.cores:.1f} cores busy, {measured.memory_mib:.0f} MiB{memory}"
    )
    names = ("camera", "fps", "restored", "p50 ms", "p95 ms", "p99 ms", "dropped", "late", "passed")
    rows = [f"{names[0]:<12}" + "".join(f"{name:>10}" for name in names[1:])]
    for one in measured.cameras:
        floats = (one.camera_fps, one.restored_fps, one.p50_ms, one.p95_ms, one.p99_ms)
        counts = (one.dropped, one.late, one.passed)
        rows.append(f"{one.camera:<12}" + "".join(f"{value:>10.1f}" for value in floats))
        rows[-1] += "".join(f"{value:>10}" for value in counts)
    return "\n".join([head, *rows, *measured.steps])


@click.command("live")
@click.option("--cameras", default="1", show_default=True, callback=whole_option(1, 64), metavar="N")
@click.option("--size", default="1280x720", show_default=True, callback=size_option, metavar="WxH")
@click.option("--rate", default="25", show_default=True, callback=rate_option, metavar="FPS")
@click.option("--seconds", default="30s", show_default=True, callback=seconds_option, metavar="TIME")
@click.option("--max-latency", callback=seconds_option, metavar="TIME", help="A latency to keep.")
@click.option("--bypass", type=click.Choice(["auto", "off"]), default="auto", show_default=True)
@network_options
@click.option(
    "--json", "json_file", callback=path_option, metavar="FILE", help="Also write the figures here."
)
def command(
    cameras: int,
    size: tuple[int, int],
    rate: Fraction,
    seconds: float,
    max_latency: float | None,
    bypass: BypassChoice,
    model: str,
    backend: str,
    precision: str,
    threads: int | None,
    json_file: Path | None,
) -> None:
    """Added latency, drops and memory of N cameras through the network, live.

    The cameras are test patterns, drawn by the same machine. Latency is from a frame's arrival to its
    hand-over to a sink that does nothing, over the whole run but its first second. --seconds 10min is a soak:
    the memory's slope is of the last three quarters.
    """
    if json_file is not None and not json_file.parent.is_dir():
        raise UsageError(f"there is no folder {json_file.parent} for {json_file.name}; make it first")
    facts = machine()
    click.echo(f"{facts['cpu']}, {facts['threads']} threads, load {facts['load']:.1f}")
    engine = EngineOptions(backend=backend, precision=precision, threads=threads)
    sources = cameras_of(["pattern"] * cameras, SourceOptions(size=size, rate=rate))
    job = LiveJob(sources, model, engine, max_latency=max_latency, bypass=bypass, duration=seconds)
    measured = measure(job)
    click.echo(table(measured))
    if json_file is not None:
        text = json.dumps({"machine": facts, "measurement": asdict(measured)}, indent=2)
        try:
            json_file.write_text(text + "\n")
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise DerainError(f"{json_file} can't be written: {why}") from error
