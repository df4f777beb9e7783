"""End to end: a clip decoded, restored, and given to nobody (`null`), or encoded into a file."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from derain.benchmarks.gpu.plan import Plan, Row
from derain.benchmarks.pattern import write_pattern
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.registry import open_engine
from derain.pipeline.frame import Frame
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.restore import Restorer
from derain.pipeline.runner import Output, Report, run
from derain.pipeline.sources.file import FileSource


class NullSink:
    """Takes every frame and keeps none."""

    def write(self, frame: Frame) -> None:
        """Nothing is done with it."""

    def close(self) -> None:
        """There is nothing to publish."""

    def keep_partial(self) -> Path | None:
        """None was kept."""
        return None

    def discard(self) -> None:
        """There is nothing to remove."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""


def rows(plan: Plan) -> Iterator[Row]:
    """A row for each size, model and way, on the first backend."""
    with TemporaryDirectory(prefix="derain-gpu-") as folder:
        for name, size in plan.sizes:
            clip = Path(folder) / f"{name}.mp4"
            write_pattern(clip, *size, plan.frames)
            for model in plan.models:
                row = {"model": model, "backend": plan.backends[0], "size": name}
                for way, measure in {"null": to_null, "file": to_file}.items():
                    try:
                        yield row | {"to": way} | told(measure(clip, model, plan.backends[0]))
                    except DerainError as error:
                        yield row | {"to": way, "problem": str(error)}


def to_null(clip: Path, model: str, backend: str) -> Report:
    """Decoded on the CPU, restored, dropped."""
    with open_engine(model, EngineOptions(backend)) as engine, FileSource(clip) as source:
        restorer = Restorer(engine, sequence=True)
        restorer(next(iter(source)).pixels)  # what is compiled for the shape is no part of the pace
        restorer.reset()
        return run(source, restorer, [Output(NullSink())])


def to_file(clip: Path, model: str, backend: str) -> Report:
    """`derain video`, with the bypass off: every frame is restored."""
    output = clip.with_name(f"restored-{clip.name}")
    options = EngineOptions(backend)
    return derain_video(VideoJob(clip, output, model, options, bypass="off", overwrite=True))


def told(report: Report) -> Row:
    """Frames a second over the run; medians of what a frame takes in each stage."""
    stages = {f"{name} ms": stage.p50 * 1e3 for name, stage in report.stages.items()}
    figures = {"fps": report.fps, "p50 ms": report.interval[0] * 1e3, "p99 ms": report.interval[1] * 1e3}
    return {name: round(value, 2) for name, value in (figures | stages).items()}
