"""Rain on a video, picture by picture at its own time; sound and all else is copied to every twin."""

import logging
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.frame import Frame
from derain.pipeline.sinks.container import ENDINGS
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.file import FileSource
from derain.train.degradations.compose import Shot, make
from derain.train.degradations.sidecar import SideCar, Source
from derain.train.synthesis.meter import Meter
from derain.train.synthesis.plan import SMALLEST, SynthesisJob, Task, seconds
from derain.train.synthesis.twins import FOLDERS, Tally, Twins, to_picture, twins_of
from derain.train.whole_folder import sha256_of

log = logging.getLogger(__name__)

HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics (H.273) of pictures that are not made for an ordinary screen."""
X264 = (".mp4", ".mov", ".mkv", ".ts")
"""Endings of files that are written with libx264, masks without any loss."""
SAME_AGAIN = {"mbtree": "0"}
"""With its macroblock tree libx264 does not always make the same file of the same pictures."""


def open_video(task: Task, job: SynthesisJob) -> FileSource:
    """Opens the clean video of a task. Raises UsageError where no rain can be made on it."""
    part = task.part
    return open_clean(task.path, seconds(part.start), seconds(part.duration), job.as_progressive)


def open_clean(
    path: Path, start: Fraction | None = None, duration: Fraction | None = None, as_progressive: bool = False
) -> FileSource:
    """Opens a clean video. Raises UsageError where no rain can be made on it."""
    source = FileSource(path, start, duration, as_progressive)
    info = source.info
    if min(info.width, info.height) < SMALLEST:
        raise UsageError(
            f"{path} has pictures of {info.width}x{info.height} pixels; "
            f"rain needs {SMALLEST}x{SMALLEST} and more"
        )
    if info.colour.transfer in HDR:
        raise UsageError(
            f"{path} is HDR ({HDR[info.colour.transfer]}), but rain is made in the light of an ordinary "
            "screen; tone-map it to SDR first"
        )
    return source


def rain_on_video(
    task: Task, source: FileSource, folder: Path, meter: Meter, drop_unsupported: bool
) -> SideCar:
    """Writes the twins of one video, named as `task`, in the container of its own name or in Matroska.

    Raises UsageError where the container can't hold what the input has, DerainError where the input ends
    early.
    """
    maker = Maker(task, source.info)
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(FileSink(path, source, drop_unsupported=drop_unsupported, **encoding))
            for path, encoding in places(task, folder, source.info.bit_depth)
        ]
        for frame in meter.metrics.stages["decode"].work.each(source):
            with meter.stage("rain"):
                twins = maker(frame)
            with meter.stage("encode"):
                for sink, pixels in zip(sinks, (twins.rainy, twins.clean, coloured(twins.mask)), strict=True):
                    sink.write(replace(frame, pixels=pixels))
            meter.held = source.held
            meter.made()
        check_whole(source, maker.frames)
    return maker.sidecar(task)


def places(task: Task, folder: Path, bits: int) -> list[tuple[Path, dict[str, Any]]]:
    """The file of each of FOLDERS and how it is encoded, for FileSink."""
    ending = task.path.suffix.lower()
    ending = ending if ending in ENDINGS else ".mkv"
    plain: dict[str, Any] = {"crf": task.part.crf}
    exact = plain
    if ending in X264 and "libx264" in av.codecs_available:
        exact = {"codec": "libx264", "options": {"qp": "0"}}
        if bits == 8:
            plain = {"codec": "libx264", "options": SAME_AGAIN, **plain}
    paths = [folder / name / f"{task.name}{ending}" for name in FOLDERS]
    return list(zip(paths, (plain, plain, exact), strict=True))


def coloured(mask: Pixels) -> Pixels:
    """(H, W, 3) of a grey (H, W)."""
    return np.ascontiguousarray(np.broadcast_to(mask[..., None], (*mask.shape, 3)))


def check_whole(source: FileSource, frames: int) -> None:
    """Raises DerainError where the video gave less than it promised; warns of damaged pictures."""
    if source.shortfall is not None:
        raise DerainError(f"{source.shortfall}; give a whole file, or the good part with --duration")
    if not frames:
        raise DerainError(f"{source.path} gave no frames in the part that was asked for")
    if source.held:
        log.warning("%s: %d pictures were damaged; the last good one stands in", source.path, source.held)


class Maker:
    """Makes rain on the pictures of one video, each at its own time, counted from the first.

    It falls as the pictures are shown; those of a phone that was held upright are stored lying on a side.
    """

    def __init__(self, task: Task, info: StreamInfo) -> None:
        self._task, self._info = task, info
        self._turns = info.rotation // 90
        self._first: Fraction | None = None
        self._shot: Shot | None = None
        self._tally = Tally()
        self.frames = 0

    def __call__(self, frame: Frame) -> Twins:
        clean = to_picture(self._turned(frame.pixels, self._turns))
        if self._shot is None:
            self._shot = self._task.shot(*clean.shape[:2])
        made = make(clean, self._shot, self._time(frame))
        twins = twins_of(made, self._task.marks(made), frame.pixels.dtype)
        if self._turns:
            twins = Twins(*(self._turned(p, -self._turns) for p in (twins.rainy, twins.clean, twins.mask)))
        self._tally.add(twins)
        self.frames += 1
        return twins

    def _turned(self, pixels: Pixels, turns: int) -> Pixels:
        return np.ascontiguousarray(np.rot90(pixels, turns))

    def _time(self, frame: Frame) -> float:
        """Seconds since the first picture."""
        if frame.pts is None:
            raise DerainError(f"{self._task.path}: picture {self.frames} has no time stamp")
        time = frame.pts * frame.time_base
        self._first = time if self._first is None else self._first
        return float(time - self._first)

    def sidecar(self, task: Task) -> SideCar:
        """What was done, once all pictures are."""
        assert self._shot is not None
        info = self._info
        source = Source(task.path.name, sha256_of(task.path), info.width, info.height)
        part = replace(task.part, frames=self.frames)
        pixels = self._tally.total()
        return SideCar(
            rain=task.rain, source=source, video=part, mask=task.mask, pixels=pixels, shot=self._shot
        )
