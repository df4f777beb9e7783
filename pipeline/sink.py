"""The seam where frames go out."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from derain.pipeline.frame import Frame

if TYPE_CHECKING:
    from derain.pipeline.sources.file import FileSource


class Sink(Protocol):
    """Takes frames in presentation order. Nothing has the final name until `close` verified it.

    One thread at a time uses a sink, but not always the one that opened it: the runner writes, closes and
    keeps from its encoding thread, and discards after that thread has ended.
    """

    def write(self, frame: Frame) -> None:
        """Takes one frame; raises DerainError where it can't be written."""
        ...

    def close(self) -> None:
        """Flushes, verifies and publishes under the final name; a second call does nothing."""
        ...

    def keep_partial(self) -> Path | None:
        """Ends early: finishes what is there, playable, as NAME.partial.EXT and returns that path."""
        ...

    def discard(self) -> None:
        """Ends without a result: removes what was written; does nothing once closed or kept."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaving with an error discards; leaving without one closes."""
        ...


def open_sink(url: str | Path, source: "FileSource", **wishes: Any) -> Sink:
    """Opens what `url` names: a video file beside whose pictures `source`'s other streams are copied.

    `wishes`: as `FileSink` takes them. Raises UsageError where that won't do.
    """
    from derain.pipeline.sinks.file import FileSink  # noqa: PLC0415 - a sink imports this module's kin

    return FileSink(url, source, **wishes)
