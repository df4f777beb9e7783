"""Frames a second: decode, restore and encode, each alone and all together."""

import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from derain.benchmarks.machine import peak_bytes
from derain.benchmarks.pattern import write_pattern
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.pipeline.choosing import open_chosen, pace_of
from derain.pipeline.frame import Frame
from derain.pipeline.metrics import Histogram
from derain.pipeline.restore import Restorer
from derain.pipeline.runner import Output, Report, run
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource

KEPT = 8
"""Frames kept in memory to measure restoring and encoding alone; they come round again and again."""


@dataclass(frozen=True)
class Setup:
    """What is measured: a network on a machine."""

    model: str
    engine: EngineOptions
    frames: int


@dataclass(frozen=True)
class Stage:
    """One row: milliseconds a frame at the median and the 99th percentile, frames a second over all."""

    name: str
    frames: int
    p50_ms: float
    p99_ms: float
    fps: float


@dataclass(frozen=True)
class Measurement:
    """One clip. `start_seconds`: from opening the model to the first frame restored. `sha256`: the card's.

    `peak_mib`: the most memory the process held up to the end of the whole pipeline's run.
    `latency_ms`: from decoded to written, at the median, in the whole pipeline.
    """

    clip: str
    width: int
    height: int
    model: str
    sha256: str
    backend: str
    precision: str
    start_seconds: float
    peak_mib: float
    latency_ms: float
    stages: tuple[Stage, ...]


def measure_pattern(width: int, height: int, setup: Setup) -> Measurement:
    """Measures on a made clip of this size, in a process of its own so that memory peaks don't mix."""
    with tempfile.TemporaryDirectory(prefix="derain-bench-") as folder:
        clip = Path(folder) / "pattern.mp4"
        write_pattern(clip, width, height, setup.frames)
        return replace(measure_apart(clip, setup), clip="pattern")


def measure_apart(clip: Path, setup: Setup) -> Measurement:
    """`measure` in a new process; its errors come back as they are, DerainError where it was killed."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(measure, clip, setup).result()
        except BrokenProcessPool as error:
            raise DerainError(
                f"measuring {clip.name} was killed by the system, most likely for want of memory; "
                "take a smaller --size or --input"
            ) from error


def measure(clip: Path, setup: Setup) -> Measurement:
    """Measures about the first `setup.frames` frames of a clip. Raises DerainError as a run would."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="derain-bench-")))
        source = stack.enter_context(open_first(clip, setup.frames))
        kept = list(islice(source, KEPT))
        began = time.perf_counter()
        chosen = open_chosen(setup.model, dtype_of(source, setup.engine), pace_of(source.info))
        engine = stack.enter_context(chosen.engine)
        restorer = Restorer(engine, sequence=True)
        restorer(kept[0].pixels)
        start_seconds = time.perf_counter() - began
        report = whole_pipeline(source, restorer, folder)
        peak = peak_bytes()
        alone = (decode(source), restore(restorer, kept, report.frames), encode(source, kept, folder, report))
    return Measurement(
        clip=clip.name,
        width=source.info.width,
        height=source.info.height,
        model=f"{engine.card.name} {engine.card.version}",
        sha256=engine.card.sha256,
        backend=engine.backend,
        precision=engine.precision,
        start_seconds=start_seconds,
        peak_mib=peak / 2**20,
        latency_ms=report.latency[0] * 1e3,
        stages=(*alone, together(report)),
    )


def open_first(clip: Path, frames: int) -> FileSource:
    """About the first `frames` frames of a clip, by its average rate; all where it has none."""
    with FileSource(clip) as source:
        rate = source.info.average_rate
    return FileSource(clip, duration=None if rate is None else frames / rate)


def dtype_of(source: FileSource, options: EngineOptions) -> EngineOptions:
    """The options with the dtype of the source's pixels."""
    return replace(options, dtype="uint16" if source.info.bit_depth > 8 else "uint8")


def whole_pipeline(source: FileSource, restorer: Restorer, folder: Path) -> Report:
    """The product's own run, from file to file."""
    with FileSink(folder / "together.mp4", source) as sink:
        forget = restorer.reset if restorer.remembers else None
        return run(source, restorer, [Output(sink)], forget=forget)


def together(report: Report) -> Stage:
    """The whole pipeline: time between two frames written."""
    p50, p99 = report.interval
    return Stage("together", report.frames, p50 * 1e3, p99 * 1e3, report.fps)


def decode(source: FileSource) -> Stage:
    """Decoding to RGB."""
    times = Histogram()
    began = time.perf_counter()
    for _ in times.each(source):
        pass
    return summary("decode", times, time.perf_counter() - began)


def restore(restorer: Restorer, kept: Sequence[Frame], frames: int) -> Stage:
    """The network with its tiles and edges, ready and warm."""
    times = Histogram()
    began = time.perf_counter()
    for frame in islice(cycle(kept), frames):
        with times.measure():
            restorer(frame.pixels)
    return summary("restore", times, time.perf_counter() - began)


def encode(source: FileSource, kept: Sequence[Frame], folder: Path, report: Report) -> Stage:
    """Conversion, encoding with the product's defaults, and publishing."""
    times = Histogram()
    step = max(kept[0].duration, 1)
    began = time.perf_counter()
    with FileSink(folder / "encode.mp4", source) as sink:
        for number, frame in enumerate(islice(cycle(kept), report.frames)):
            with times.measure():
                sink.write(replace(frame, pts=number * step))
    return summary("encode", times, time.perf_counter() - began)


def summary(name: str, times: Histogram, seconds: float) -> Stage:
    """A row from durations in seconds."""
    p50, p99 = times.percentile(50) * 1e3, times.percentile(99) * 1e3
    return Stage(name, times.count, p50, p99, times.count / seconds)
