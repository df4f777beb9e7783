"""Clips to measure: two or three films whose frames are matched by their times."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from derain.benchmarks.evaluation.cases import MASK_LEVEL, Kind, Moment, small
from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.sources.cut import clock
from derain.pipeline.sources.file import FileSource
from derain.train.datasets import pictures, read_rgb
from derain.train.evaluate import RGB, rain_mask

VIDEOS = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts", ".mpg")
SAME_TIME = Fraction(1, 1000)
"""Seconds: Matroska and WebM round to it what other containers tell exactly."""
NUMBERED = re.compile(r"(\d+)$", re.ASCII)


@dataclass(frozen=True)
class Still:
    """One frame: its time in seconds (or its number), what to call it, and (H, W, 3) uint8 RGB."""

    time: Fraction
    at: str
    pixels: RGB


class Film(Protocol):
    """Frames in their order."""

    path: Path

    def size(self) -> tuple[int, int]:
        """(width, height). Raises DerainError where it can't be read."""
        ...

    def __iter__(self) -> Iterator[Still]: ...

    def note(self) -> str:
        """Once iterated: what it promised and did not give, "" for nothing."""
        ...

    def close(self) -> None: ...


class VideoFilm:
    """A video file. Raises UsageError where it can't be worked on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._source = FileSource(path)

    def size(self) -> tuple[int, int]:
        return self._source.info.width, self._source.info.height

    def __iter__(self) -> Iterator[Still]:
        for frame in self._source:
            if frame.pts is not None:
                time = frame.pts * frame.time_base
                yield Still(time, clock(time), eight_bits(frame.pixels))

    def note(self) -> str:
        damaged = f"{self._source.held} frames of {self.path} are damaged" if self._source.held else ""
        return "; ".join(filter(None, (damaged, self._source.shortfall)))

    def close(self) -> None:
        self._source.close()


class FolderFilm:
    """A folder of numbered pictures; its times are the numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._frames = sorted((number(picture), picture) for picture in pictures(path))

    def size(self) -> tuple[int, int]:
        """Raises DerainError where a frame can't be read or has another size."""
        first = self._frames[0][1]
        height, width = read_rgb(first).shape[:2]
        for _, path in self._frames:
            tall, wide = read_rgb(path).shape[:2]
            if (wide, tall) != (width, height):
                raise DerainError(f"{path} is {wide}x{tall} where {first} is {width}x{height}")
        return width, height

    def __iter__(self) -> Iterator[Still]:
        for count, path in self._frames:
            yield Still(Fraction(count), path.stem, read_rgb(path))

    def note(self) -> str:
        return ""

    def close(self) -> None:
        """Has nothing open."""


def number(path: Path) -> int:
    """The digits that a frame's name ends in; UsageError where there are none."""
    found = NUMBERED.search(path.stem)
    if found is None:
        raise UsageError(f"{path} has no number at the end of its name, which a frame of a clip needs")
    return int(found[1])


def eight_bits(pixels: Pixels) -> RGB:
    """8-bit pixels of frames of any depth."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    return np.asarray((pixels.astype(np.uint32) + 128) // 257, np.uint8)


def open_film(path: Path) -> Film:
    """A video file, or a folder of numbered frames. Raises UsageError."""
    return FolderFilm(path) if path.is_dir() else VideoFilm(path)


Row: TypeAlias = tuple[Still, ...]


class Matched:
    """Frames of several films that have the same time, within SAME_TIME.

    Iterates in bounded memory; `alone` then counts the frames of each film that had no twin, `first` says
    which was the first of them.
    """

    def __init__(self, films: Sequence[Film]) -> None:
        self._films = films
        self.alone = [0] * len(films)
        self.first = [""] * len(films)

    def __iter__(self) -> Iterator[Row]:
        runs = [iter(film) for film in self._films]
        heads = [next(run, None) for run in runs]
        while all(heads):
            row = tuple(head for head in heads if head is not None)
            latest = max(still.time for still in row)
            behind = [n for n, still in enumerate(row) if latest - still.time > SAME_TIME]
            for n in behind:
                self._miss(n, row[n])
            if not behind:
                yield row
            for n in behind or range(len(runs)):
                heads[n] = next(runs[n], None)
        for n, (head, run) in enumerate(zip(heads, runs, strict=True)):
            for still in chain([head], run) if head else ():
                self._miss(n, still)

    def _miss(self, film: int, still: Still) -> None:
        self.alone[film] += 1
        self.first[film] = self.first[film] or still.at


@dataclass
class ClipCase:
    """A rainy clip and its clean twin, frame by frame; `mask`: a film that is light where the rain is."""

    name: str
    rainy: Path
    clean: Path
    mask: Path | None = None
    kind: Kind = "clip"
    _told: str = ""

    @property
    def masked(self) -> bool:
        return self.mask is not None

    def fault(self) -> str:
        try:
            with ExitStack() as stack:
                return self._fault(self._films(stack))
        except DerainError as error:
            return str(error)

    def _fault(self, films: Sequence[Film]) -> str:
        if len({type(film) for film in films}) > 1:
            return f"{self.name} mixes a video file and a folder of frames, whose times can't be matched"
        sizes = [film.size() for film in films]
        if len(set(sizes)) > 1:
            told = ", ".join(f"{f.path} {w}x{h}" for f, (w, h) in zip(films, sizes, strict=True))
            return f"the clip {self.name} has different sizes: {told}"
        return small(self.name, np.empty((sizes[0][1], sizes[0][0], 0), np.uint8))

    def _films(self, stack: ExitStack) -> list[Film]:
        films = []
        for path in (self.rainy, self.clean, self.mask):
            if path is not None:
                films.append(open_film(path))
                stack.callback(films[-1].close)
        return films

    def moments(self) -> Iterator[Moment]:
        """Raises DerainError where no frame has a twin, or the frames of a folder change size."""
        with ExitStack() as stack:
            films = self._films(stack)
            matched = Matched(films)
            count = 0
            for row in matched:
                yield self._moment(row)
                count += 1
            notes = [text for n, film in enumerate(films) for text in (told(matched, n, film), film.note())]
            self._told = "; ".join(filter(None, notes))
            if not count:
                raise DerainError(
                    f"no frame of {self.rainy} has a twin at its time: {self._told or 'no frames'}"
                )

    def _moment(self, row: Row) -> Moment:
        rainy, clean = row[0].pixels, row[1].pixels
        if len({still.pixels.shape for still in row}) > 1:
            raise DerainError(f"the clip {self.name} has frames of different sizes at {row[0].at}")
        mask = rain_mask(rainy, clean) if len(row) == 2 else row[2].pixels.max(axis=2) > MASK_LEVEL
        return Moment(rainy, clean, np.asarray(mask), row[0].at)

    def left_out(self) -> str:
        return self._told


def told(matched: Matched, index: int, film: Film) -> str:
    """How many frames of a film had no twin, "" where all had one."""
    if not (alone := matched.alone[index]):
        return ""
    which = f"{film.path.parent.name}/{film.path.name}"
    return f"{alone} frame{'s' * (alone > 1)} of {which} without a twin, the first at {matched.first[index]}"
