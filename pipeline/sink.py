"""The seam where frames go out."""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from derain.pipeline.frame import Frame


class Sink(Protocol):
    """Takes frames in presentation order. Nothing has the final name until `close` verified it."""

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
        """Ends without a result: removes what was written; does nothing once closed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaving with an error discards; leaving without one closes."""
        ...
