"""A video file as a source: its main video stream, decoded; the other streams are the sink's to copy."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.colour import ToRGB
from derain.pipeline.frame import Frame
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.probe import HOW_TO_DEINTERLACE, colour_of, open_input, probe


@dataclass(frozen=True)
class Cut:
    """The part of a file that is worked on, in seconds of the file's own clock.

    `start` <= t < `end`, None for open ends. `shift`: what is taken off every time stamp of every stream, so
    that the output starts where the whole would have.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    def holds(self, time: Fraction) -> bool:
        """Whether `time` lies inside."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


def make_cut(origin: Fraction, time_base: Fraction, start: Fraction | None, duration: Fraction | None) -> Cut:
    """The cut of `duration` seconds that begins `start` seconds after the file's `origin`. Raises UsageError."""
    if start is not None and start < 0:
        raise UsageError(f"the start must not be negative, it is {float(start)} s")
    if duration is not None and duration <= 0:
        raise UsageError(f"the duration must be more than zero, it is {float(duration)} s")
    if start is None and duration is None:
        return Cut()
    begin = origin + (start or 0)
    end = None if duration is None else begin + duration
    shift = round((start or Fraction(0)) / time_base) * time_base
    return Cut(begin if start else None, end, shift)


class FileSource:
    """The main video stream of a file. Each iteration decodes anew; frames keep their pts in `info.time_base`.

    `start` and `duration` are seconds from the file's first time stamp. Frames of a cut keep the file's own
    pts less the cut's shift. Raises UsageError on opening for what can't be worked on, and DerainError while
    iterating where the pictures change size.
    """

    live = False

    def __init__(
        self,
        path: str | Path,
        start: Fraction | float | None = None,
        duration: Fraction | float | None = None,
        as_progressive: bool = False,
    ) -> None:
        self.path = Path(path)
        self.as_progressive = as_progressive
        found = probe(self.path, as_progressive)
        self.info: StreamInfo = found.info
        self.stream_index = found.stream_index
        self.cut = make_cut(
            found.origin,
            found.info.time_base,
            None if start is None else Fraction(start).limit_denominator(10**9),
            None if duration is None else Fraction(duration).limit_denominator(10**9),
        )
        self.held = 0
        self.shortfall: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        self.held = 0
        to_rgb = ToRGB()
        shift = int(self.cut.shift / self.info.time_base)
        with open_input(self.path) as container:
            stream = container.streams[self.stream_index]
            stream.codec_context.thread_type = "AUTO"
            for packet in container.demux(stream):
                for frame in packet.decode():
                    time = frame.pts * self.info.time_base
                    if self.cut.holds(time):
                        yield Frame(
                            to_rgb(frame, self.info.colour),
                            frame.pts - shift,
                            self.info.time_base,
                            frame.duration,
                            self.info.colour,
                        )

    def close(self) -> None:
        """Nothing stays open between iterations."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
