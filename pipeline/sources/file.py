"""A video file as a source: its main video stream, decoded; the other streams are the sink's to copy."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.colour import ToRGB, known_range
from derain.pipeline.frame import Frame
from derain.pipeline.gpu.frame import DeviceFrame
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.cut import Cut, Seconds, clock, make_cut
from derain.pipeline.sources.decode import Decoded, Decoder
from derain.pipeline.sources.probe import HOW_TO_DEINTERLACE, open_input, probe, reason
from derain.pipeline.sources.wholeness import missing_bytes

RUN_UP = 1
"""Seconds decoded before the start of a cut, so that pictures that refer to earlier ones are whole."""

F = TypeVar("F", Frame, DeviceFrame)


@dataclass(frozen=True)
class Hardware:
    """What decodes in the CPU's place. Files are opened within `current`, which makes its device current."""

    accel: HWAccel
    current: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Reading(Generic[F]):
    """What becomes of decoded pictures.

    `pixels`: what a frame gets of a picture. `again`: of those of the last good one, for a damaged one.
    `frame`: the frame's type. `hardware`: what decodes the pictures, None for the CPU.
    """

    pixels: Callable[[VideoFrame], Any]
    again: Callable[[Any], Any]
    frame: type[F]
    hardware: Hardware | None = None


class FileSource:
    """The main video stream of a file. Each iteration decodes anew.

    `start` and `duration`: seconds from the file's first time stamp, or from zero where that lies before it;
    the pictures of a cut are moved back by `start`. A picture that can't be decoded is replaced by the last
    good one, at its own time, and counted in `held`. Frames last until the next one's pts.

    Raises UsageError on opening for what can't be worked on, and DerainError while iterating where the
    pictures change size or begin to be interlaced. `path` and `info.time_base` are what a sink needs to copy
    the file's other streams; `cut` and `stream_index` tell it which part and which stream is worked on.
    `length`: of the whole file in seconds, None where it does not say. `hardware`: what decodes pictures that
    are brought to the host, None for the CPU; see `read` for pictures that are not.
    """

    live = False

    def __init__(
        self,
        path: str | Path,
        start: Seconds | None = None,
        duration: Seconds | None = None,
        as_progressive: bool = False,
    ) -> None:
        self.path = Path(path)
        self._as_progressive = as_progressive
        found = probe(self.path, as_progressive)
        self.info: StreamInfo = found.info
        self.stream_index = found.stream_index
        self.origin, self.length = found.origin, found.length
        self.cut: Cut = make_cut(found.origin, found.info.time_base, start, duration)
        self._check_start()
        self.held = 0
        self.shortfall: str | None = None
        self.hardware: Hardware | None = None
        self._open: InputContainer | None = None

    def _check_start(self) -> None:
        if self.cut.start is None or self.length is None:
            return
        if self.cut.start >= self.origin + self.length:
            raise UsageError(
                f"the start, {clock(self.cut.start - self.origin)}, lies behind the end of {self.path}, "
                f"which is {clock(self.length)} long"
            )

    def __iter__(self) -> Iterator[Frame]:
        to_rgb, colour = ToRGB(), self.info.colour
        if self.hardware is not None:
            # NV12 does not tell full range by its name, as the file's own format may.
            colour = replace(colour, range=known_range(colour, self.info.pixel_format))

        def pixels(picture: VideoFrame) -> Pixels:
            return to_rgb(picture, colour)

        return self.read(Reading(pixels, np.copy, Frame, self.hardware))

    def read(self, reading: Reading[F]) -> Iterator[F]:
        """The frames that `reading` makes of the pictures; all else is as where this is iterated."""
        self.close()
        self.held, self.shortfall = 0, None
        waiting: F | None = None
        count = 0
        for frame in self._frames(reading):
            if waiting is not None:
                yield until(waiting, frame)
            waiting, count = frame, count + 1
        if waiting is not None:
            yield waiting
        if self.shortfall is not None:
            self.shortfall = f"{self.shortfall}; {count} pictures were decoded{self._how_far(waiting)}"
        self.close()

    def _frames(self, reading: Reading[F]) -> Iterator[F]:
        good: Any = None
        shift = int(self.cut.shift / self.info.time_base)
        decoder, decoded_ones = self._decode(reading.hardware)
        for decoded in decoded_ones:
            time = decoded.pts * self.info.time_base
            if self.cut.over(time):
                return
            if not self.cut.holds(time):
                continue
            if decoded.picture is not None:
                self._check(decoded.picture, time)
                good = reading.pixels(decoded.picture)
            elif good is None:
                continue
            else:
                self.held += 1
                good = reading.again(good)
            at, lasts, held = decoded.pts - shift, decoded.duration, decoded.picture is None
            yield reading.frame(good, at, self.info.time_base, lasts, self.info.colour, held=held)
        self.shortfall = self._what_is_missing(decoder)

    def _decode(self, hardware: Hardware | None) -> tuple[Decoder, Iterator[Decoded]]:
        """A decoder a little before the cut where the file can seek, else at the file's beginning."""
        if self.cut.start is not None:
            container, stream = self._begin(hardware)
            container.seek(int((self.cut.start - RUN_UP) / self.info.time_base), stream=stream)
            decoder = Decoder(container, stream)
            pictures = iter(decoder)
            first = next(pictures, None)
            if first is not None and first.pts * self.info.time_base <= self.cut.start:
                return decoder, chain_first(first, pictures)
        decoder = Decoder(*self._begin(hardware))
        return decoder, iter(decoder)

    def _begin(self, hardware: Hardware | None) -> tuple[InputContainer, VideoStream]:
        self.close()
        with nullcontext() if hardware is None else hardware.current():
            self._open = open_input(self.path, None if hardware is None else hardware.accel)
        stream = self._open.streams[self.stream_index]
        if not isinstance(stream, VideoStream):
            raise DerainError(f"{self.path} changed while it was worked on")
        if hardware is None:
            stream.codec_context.thread_type = "AUTO"
        else:
            stream.codec_context.thread_count = 1  # more would only take more of the card's few surfaces
        return self._open, stream

    def _check(self, picture: VideoFrame, time: Fraction) -> None:
        at = clock(time - self.origin)
        size = (picture.width, picture.height)
        if size != (self.info.width, self.info.height):
            raise DerainError(
                f"{self.path}: at {at} the pictures change from {self.info.width}x{self.info.height} to "
                f"{size[0]}x{size[1]}, which one output can't hold; cut it there with --start and --duration"
            )
        if picture.interlaced_frame and not self._as_progressive:
            raise DerainError(
                f"{self.path}: at {at} the pictures begin to be interlaced; {HOW_TO_DEINTERLACE}"
            )

    def _what_is_missing(self, decoder: Decoder) -> str | None:
        missing = missing_bytes(self.path)
        if missing:
            return f"{self.path} ends early: its last {missing} bytes are missing"
        if decoder.unreadable is not None:
            return f"{self.path} can't be read to its end ({reason(decoder.unreadable)})"
        if decoder.lost_at_start:
            return f"the first {decoder.lost_at_start} pictures of {self.path} are damaged and left out"
        return None

    def _how_far(self, last: Frame | DeviceFrame | None) -> str:
        if last is None or last.pts is None or self.info.duration is None:
            return ""
        until = last.pts + last.duration - (self.info.start_time or 0)
        base = self.info.time_base
        return f", to {clock(until * base)} of {clock(self.info.duration * base)}"

    def close(self) -> None:
        """Closes the file; a second call does nothing. Iterating opens it again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def until(frame: F, following: F) -> F:
    """`frame` lasting until `following` begins."""
    if frame.pts is None or following.pts is None:
        return frame
    return replace(frame, duration=following.pts - frame.pts)


def chain_first(first: Decoded, rest: Iterator[Decoded]) -> Iterator[Decoded]:
    """`first`, then `rest`."""
    yield first
    yield from rest
