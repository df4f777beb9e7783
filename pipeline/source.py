"""The seam where frames come in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from derain.pipeline.frame import Colour, Frame


@dataclass(frozen=True)
class StreamInfo:
    """What is known of a video stream before its first frame.

    `width`, `height`: of the pixels. `bit_depth`: 8, 10, ... as coded. `average_rate`, `real_rate`:
    as the container says, None where it does not; never used to compute times. `frames`: as the container
    says or estimates, None where unknown. `rotation`: of the display matrix, degrees counter-clockwise.
    `display_matrix`: its 9 numbers as FFmpeg holds them. `side_data`: HDR descriptions of the whole stream,
    FFmpeg's bytes by its names.
    """

    width: int
    height: int
    time_base: Fraction
    bit_depth: int = 8
    average_rate: Fraction | None = None
    real_rate: Fraction | None = None
    sample_aspect_ratio: Fraction | None = None
    duration: int | None = None
    start_time: int | None = None
    frames: int | None = None
    codec: str = ""
    pixel_format: str = ""
    rotation: int = 0
    colour: Colour = field(default_factory=Colour)
    path: Path | None = None
    display_matrix: tuple[int, ...] | None = None
    side_data: Mapping[str, bytes] = field(default_factory=dict)


class Source(Protocol):
    """Iterates frames in presentation order. Whoever opens it closes it, in a `with`."""

    @property
    def info(self) -> StreamInfo: ...

    @property
    def live(self) -> bool: ...

    @property
    def held(self) -> int:
        """Frames so far that were corrupt and replaced by the last good one."""
        ...

    @property
    def shortfall(self) -> str | None:
        """Once iterated: what the input promised and did not give ("the file ends early: ..."), else None."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Frees the decoder; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(
    url: str | Path,
    start: Fraction | float | None = None,
    duration: Fraction | float | None = None,
    as_progressive: bool = False,
) -> Source:
    """Opens what `url` names: a video file. Times in seconds. Raises UsageError where that won't do."""
    from derain.pipeline.sources.file import FileSource  # noqa: PLC0415 - a source imports this module

    return FileSource(url, start, duration, as_progressive)
