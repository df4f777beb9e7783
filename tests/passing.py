"""Sends a clip through the pipeline's file rooms with nothing done to its pictures."""

from pathlib import Path
from typing import Any

from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource


def pass_through(path: Path, output: Path, **wishes: Any) -> FileSource:
    """Reads `path` and writes what it read to `output`; gives the exhausted source."""
    cut = {name: wishes.pop(name) for name in ("start", "duration", "as_progressive") if name in wishes}
    with FileSource(path, **cut) as source, FileSink(output, source, **wishes) as sink:
        for frame in source:
            sink.write(frame)
    return source
