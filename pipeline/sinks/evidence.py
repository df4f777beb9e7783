"""Evidence: what came and what was made of it, side by side, and what tells that nobody changed it.

A segment is a folder: `original.mkv` (the packets as they came), `restored.mkv`, `altered.mkv` (where pixels
were altered, lossless) and the side-car `segment.json`.
"""

import errno
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av

from derain.engines.engine import Engine
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.live.seam import Packet, Shown, State
from derain.pipeline.sinks.coder import check_coder
from derain.pipeline.sinks.evidence_book import book_of, enter, write_side_car
from derain.pipeline.sinks.evidence_segment import Segment, stamp_of
from derain.pipeline.sinks.own_thread import MOST_BYTES, OwnThread
from derain.pipeline.sinks.recording import AGAIN, LOOK, NO_ROOM, TracksOf, folder_for
from derain.pipeline.sinks.retention import FREE_LEAST, free_bytes, new_name
from derain.pipeline.sinks.timeline import Timeline
from derain.pipeline.sources.probe import reason

log = logging.getLogger(__name__)

About: TypeAlias = Callable[[], Mapping[str, str]]
"""What restores now: see `about_engine`."""
FAILURES = (av.FFmpegError, OSError, ValueError)


def about_engine(engine: Engine | None) -> dict[str, str]:
    """The model that an engine runs, and its hash."""
    if engine is None:
        return {}
    card = engine.card
    return {
        "model": card.name,
        "version": card.version,
        "sha256": card.sha256,
        "backend": engine.backend,
        "precision": engine.precision,
    }


@dataclass(frozen=True)
class Evidence:
    """`folder`: a folder for each camera is made in it. Segments end with the first key frame after
    `seconds`. Raises UsageError for what makes no sense."""

    folder: Path
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 3600:
            raise UsageError(f"a segment of evidence has {self.seconds:g} s; it takes 1 s to 1h")


class Keeper:
    """The work of keeping evidence of one camera in `folder`. Segments are hashed in a thread of their own.

    `lost`: frames that were not kept, for want of room or as writing failed.
    """

    def __init__(
        self,
        folder: Path,
        camera: str,
        options: Evidence,
        tracks: TracksOf,
        about: About,
        free: Callable[[Path], int] = free_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        book_of(folder)
        self.lost = 0
        self._folder, self._camera, self._options = folder, camera, options
        self._tracks, self._about, self._free, self._clock = tracks, about, free, clock
        self._timeline = Timeline(clock)
        self._pending: deque[Packet] = deque()
        self._bytes = 0
        self._segment: Segment | None = None
        self._epoch, self._missing = -1, 0
        self._before: int | None = None
        self._finishing = ThreadPoolExecutor(1, "derain-evidence")
        self._again = float("-inf")
        self._told = ""

    def frame(self, shown: Shown) -> None:
        """Keeps it, with the packets up to it."""
        seconds = self._timeline.place(shown.taken)
        if self._clock() < self._again:
            self.lost += 1
            return
        try:
            segment = self._segment_for(shown, seconds)
            segment.add(shown, seconds, self._about())
            if self._before is not None and shown.taken.number > self._before:
                self._missing += shown.taken.number - self._before - 1
            self._before = shown.taken.number
            self._say("")
        except FAILURES as error:
            self._fail(error)

    def packet(self, packet: Packet) -> None:
        """Keeps it until its frame has come."""
        self._pending.append(packet)
        self._bytes += len(packet.data)
        while self._bytes > MOST_BYTES:
            self._add_original(self._next_packet())

    def state(self, state: State, said: str) -> None:
        """A camera that is away leaves a gap in the times."""

    def tick(self) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """Finishes the segment, and waits until it is hashed."""
        try:
            while self._pending:
                self._add_original(self._next_packet())
            self._finish()
        except FAILURES as error:
            self._fail(error)
        self._finishing.shutdown()

    def _segment_for(self, shown: Shown, seconds: float) -> Segment:
        """The segment of a frame: the packets before it are in it, or in the one before."""
        height, width = shown.restored.shape[:2]
        if self._segment is not None and (
            shown.taken.epoch != self._epoch or self._segment.size != (width, height)
        ):
            self._take_packets(self._epoch, None, seconds)
            self._finish()
        self._epoch = shown.taken.epoch
        if self._segment is None:
            self._begin((width, height), seconds)
        pts = shown.taken.frame.pts
        self._take_packets(self._epoch, None if pts is None else pts * shown.taken.frame.time_base, seconds)
        assert self._segment is not None
        old = seconds - self._segment.began >= self._options.seconds
        if old and not any(track.kind == "video" for track in self._tracks(self._camera)):
            self._finish()
            self._begin((width, height), seconds)
        return self._segment

    def _take_packets(self, epoch: int, until: Fraction | None, seconds: float) -> None:
        """Writes the packets of a connection that are due `until` then; where a key frame comes after enough
        time, it begins another segment."""
        for _ in range(self._due(epoch, until)):
            packet, segment = self._next_packet(), self._segment
            if (
                segment is not None
                and segment.original.begins(packet)
                and seconds - segment.began >= self._options.seconds
            ):
                self._finish()
                self._begin(segment.size, seconds)
            self._add_original(packet)

    def _due(self, epoch: int, until: Fraction | None) -> int:
        """How many packets to take: up to the last of the pictures that are due; sound may come ahead."""
        count = 0
        for number, packet in enumerate(self._pending, 1):
            if packet.epoch > epoch:
                break
            stamp = stamp_of(packet)
            if until is None or (packet.kind == "video" and (stamp is None or stamp <= until)):
                count = number
        return count

    def _next_packet(self) -> Packet:
        packet = self._pending.popleft()
        self._bytes -= len(packet.data)
        return packet

    def _add_original(self, packet: Packet) -> None:
        if self._segment is not None and packet.epoch == self._epoch:
            self._segment.original.add(packet)

    def _begin(self, size: tuple[int, int], seconds: float) -> Segment:
        if self._free(self._folder) < FREE_LEAST:
            raise OSError(errno.ENOSPC, NO_ROOM)
        path = self._folder / new_name(self._folder, time.time())
        path.mkdir()
        try:
            self._segment = Segment(path, self._camera, size, self._tracks(self._camera), seconds)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return self._segment

    def _finish(self) -> None:
        segment, self._segment = self._segment, None
        missing, self._missing = self._missing, 0
        if segment is not None:
            self._finishing.submit(seal, self._folder, segment.path, segment.close(missing))

    def _fail(self, error: Exception) -> None:
        """What was written stays, finished if it can be; soon it is tried again."""
        self.lost += 1
        self._say(reason(error))
        self._again = self._clock() + (LOOK if isinstance(error, OSError) else AGAIN)
        with suppress(*FAILURES):
            self._finish()

    def _say(self, what: str) -> None:
        if what != self._told:
            self._told = what
            words = f"no evidence is kept: {what}" if what else "evidence is kept again"
            log.warning("%s: %s", self._camera, words)


def seal(folder: Path, segment: Path, about: Mapping[str, Any]) -> None:
    """Hashes the files of a segment, writes its side-car, and enters it into the book."""
    try:
        write_side_car(segment, about)
        enter(folder, segment)
    except (OSError, DerainError) as error:
        log.error("%s: its side-car can't be written: %s", segment, reason(error))


def open_evidence(options: Evidence, camera: str, tracks: TracksOf, about: About) -> OwnThread:
    """Keeps evidence of `camera` in a thread of its own. Raises UsageError where the folder can't be written
    to, DerainError where its book is spoilt."""
    check_coder()
    keeper = Keeper(folder_for(options.folder, camera), camera, options, tracks, about)
    return OwnThread(f"the evidence of {camera}", camera, keeper)
