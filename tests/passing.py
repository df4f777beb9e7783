"""Sends a clip through the pipeline's file rooms with nothing done to its pictures."""

from pathlib import Path
from typing import Any

from derain.pipeline.sink import Sink, open_sink
from derain.pipeline.source import Source, open_source
from derain.pipeline.sources.file import FileSource


def pass_through(path: Path, output: Path, **wishes: Any) -> Source:
    """Reads `path` and writes what it read to `output`; gives the exhausted source."""
    cut = {name: wishes.pop(name) for name in ("start", "duration", "as_progressive") if name in wishes}
    with open_source(path, **cut) as source:
        assert isinstance(source, FileSource)
        with open_sink(output, source, **wishes) as sink:
            copy(source, sink)
    return source


def copy(source: Source, sink: Sink) -> None:
    """Writes every frame of `source` to `sink`."""
    for frame in source:
        sink.write(frame)
