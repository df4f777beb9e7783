"""What a file says about itself (tags, chapters, beginnings) on its way into the output."""

from fractions import Fraction
from typing import TYPE_CHECKING

from av.container import InputContainer
from av.stream import Stream

from derain.pipeline.sinks.container import OLD_CODING_TAGS, OLD_FILE_TAGS
from derain.pipeline.sources.cut import Cut

if TYPE_CHECKING:
    from av.container.core import Chapter  # a name of its type stubs only


def file_tags(original: InputContainer) -> dict[str, str]:
    """The tags of a file, less those of its old wrapping."""
    return {name: value for name, value in original.metadata.items() if name.lower() not in OLD_FILE_TAGS}


def video_tags(stream: Stream) -> dict[str, str]:
    """The tags of the restored stream, less those that tell of its old coding."""
    return {k: v for k, v in stream.metadata.items() if not k.lower().startswith(OLD_CODING_TAGS)}


def chapters(original: InputContainer, cut: Cut) -> "list[Chapter]":
    """The chapters of a file that reach into the cut, moved to their times in the output."""
    return [kept for chapter in original.chapters() if (kept := cut_chapter(chapter, cut)) is not None]


def cut_chapter(chapter: "Chapter", cut: Cut) -> "Chapter | None":
    """One chapter's part inside the cut, None where it has none."""
    base = chapter["time_base"]
    if base is None or (cut.start is None and cut.end is None):
        return chapter
    start, end = chapter["start"] * base, chapter["end"] * base
    if cut.over(start) or (cut.start is not None and end <= cut.start):
        return None
    first = start if cut.start is None else max(start, cut.start)
    last = end if cut.end is None else min(end, cut.end)
    moved = [round((time - cut.shift) / base) for time in (first, last)]
    return {**chapter, "start": moved[0], "end": moved[1]}


def begin_clocks(original: InputContainer, cut: Cut) -> list[Fraction]:
    """The time bases in which the streams' beginnings must be told, none where milliseconds will do."""
    clocks = [stream.time_base for stream in original.streams if stream.time_base]
    begins = [s.start_time * s.time_base for s in original.streams if s.start_time and s.time_base]
    if cut.start is None and all((begin * 1000).denominator == 1 for begin in begins):
        return []
    return clocks
