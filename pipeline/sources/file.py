"""A video file as a source: its main video stream, decoded; the other streams are the sink's to copy."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.colour import ToRGB
from derain.pipeline.frame import Frame
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.cut import Cut, Seconds, clock, make_cut
from derain.pipeline.sources.decode import Decoded, Decoder
from derain.pipeline.sources.probe import HOW_TO_DEINTERLACE, open_input, probe, reason
from derain.pipeline.sources.wholeness import missing_bytes

RUN_UP = 1
"""Seconds decoded before the start of a cut, so that pictures that refer to earlier ones are whole."""


class FileSource:
    """The main video stream of a file. Each iteration decodes anew.

    `start` and `duration`: seconds from the file's first time stamp, or from zero where that lies before it;
    the pictures of a cut are moved back by `start`. A picture that can't be decoded is replaced by the last
    good one, at its own time, and counted in `held`. Frames last until the next one's pts.

    Raises UsageError on opening for what can't be worked on, and DerainError while iterating where the
    pictures change size or begin to be interlaced. `path` and `info.time_base` are what a sink needs to copy
    the file's other streams; `cut` and `stream_index` tell it which part and which stream is worked on.
    `length`: of the whole file in seconds, None where it does not say.
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
        self.close()
        self.held, self.shortfall = 0, None
        waiting: Frame | None = None
        count = 0
        for frame in self._frames():
            if waiting is not None:
                yield until(waiting, frame)
            waiting, count = frame, count + 1
        if waiting is not None:
            yield waiting
        if self.shortfall is not None:
            self.shortfall = f"{self.shortfall}; {count} pictures were decoded{self._how_far(waiting)}"
        self.close()

    def _frames(self) -> Iterator[Frame]:
        to_rgb, good = ToRGB(), None
        shift = int(self.cut.shift / self.info.time_base)
        decoder, decoded_ones = self._decode()
        for decoded in decoded_ones:
            time = decoded.pts * self.info.time_base
            if self.cut.over(time):
                return
            if not self.cut.holds(time):
                continue
            if decoded.picture is not None:
                self._check(decoded.picture, time)
                good = to_rgb(decoded.picture, self.info.colour)
            elif good is None:
                continue
            else:
                self.held += 1
                good = good.copy()
            at, lasts, held = decoded.pts - shift, decoded.duration, decoded.picture is None
            yield Frame(good, at, self.info.time_base, lasts, self.info.colour, held=held)
        self.shortfall = self._what_is_missing(decoder)

    def _decode(self) -> tuple[Decoder, Iterator[Decoded]]:
        """A decoder a little before the cut where the file can seek, else at the file's beginning."""
        if self.cut.start is not None:
            container, stream = self._begin()
            container.seek(int((self.cut.start - RUN_UP) / self.info.time_base), stream=stream)
            decoder = Decoder(container, stream)
            pictures = iter(decoder)
            first = next(pictures, None)
            if first is not None and first.pts * self.info.time_base <= self.cut.start:
                return decoder, chain_first(first, pictures)
        decoder = Decoder(*self._begin())
        return decoder, iter(decoder)

    def _begin(self) -> tuple[InputContainer, VideoStream]:
        self.close()
        self._open = open_input(self.path)
        stream = self._open.streams[self.stream_index]
        if not isinstance(stream, VideoStream):
            raise DerainError(f"{self.path} changed while it was worked on")
        stream.codec_context.thread_type = "AUTO"
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

    def _how_far(self, last: Frame | None) -> str:
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


def until(frame: Frame, following: Frame) -> Frame:
    """`frame` lasting until `following` begins."""
    if frame.pts is None or following.pts is None:
        return frame
    return replace(frame, duration=following.pts - frame.pts)


def chain_first(first: Decoded, rest: Iterator[Decoded]) -> Iterator[Decoded]:
    """`first`, then `rest`."""
    yield first
    yield from rest
