"""The restored picture of a camera in segments: Matroska files that play whenever the writing stopped."""

import errno
import logging
import os
import re
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

import av

from derain.engines.errors import UsageError
from derain.pipeline.live.seam import Packet, Shown, State, Track
from derain.pipeline.live.treatment import in_eight_bits
from derain.pipeline.sinks.coder import KEPT, Coder, check_coder, even
from derain.pipeline.sinks.own_thread import OwnThread
from derain.pipeline.sinks.retention import Keep, Retention, free_bytes, new_name
from derain.pipeline.sinks.timeline import Timeline
from derain.pipeline.sinks.wrapping import Sound, Wrapping
from derain.pipeline.sources.probe import reason

log = logging.getLogger(__name__)

TracksOf: TypeAlias = Callable[[str], Sequence[Track]]
"""The streams of a camera's connection now."""
SAFE = {
    "cluster_time_limit": "1000",
    "flush_packets": "1",
    "max_interleave_delta": "500000",
    "avoid_negative_ts": "disabled",
}
"""A second of pictures is written at a time, and a track that is silent holds up none."""
SYNC = 2.0
"""Seconds between two times that the disk is told to keep what it has."""
LOOK = 5.0
"""Seconds between two looks at what is kept."""
AGAIN = 1.0
"""Seconds until writing is tried again where it failed."""
NO_ROOM = "there is no room on the disk, and nothing older to remove"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Recording:
    """`folder`: a folder for each camera is made in it. Segments end after `seconds`, and with `most_bytes`
    where that is not None. Raises UsageError for what makes no sense."""

    folder: Path
    seconds: float = 600.0
    most_bytes: int | None = None
    keep: Keep = field(default_factory=Keep)

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 86400:
            raise UsageError(f"a segment of a recording has {self.seconds:g} s; it takes 1 s to 24h")
        if self.most_bytes is not None and self.most_bytes < 100_000:
            raise UsageError(f"a segment of a recording has {self.most_bytes} bytes; it takes 100kB or more")


def open_file(path: Path) -> IO[bytes]:
    """A new file."""
    return path.open("xb", buffering=0)


def safe_name(camera: str) -> str:
    """The name of a camera as a file may have it, unlike any other camera's."""
    safe = re.sub(r"[^\w.-]+", "_", camera).strip(".") or "camera"
    return safe if safe == camera else f"{safe}-{zlib.crc32(camera.encode()):08x}"


def folder_for(folder: Path, camera: str) -> Path:
    """The folder of a camera in `folder`, made if need be; raises UsageError where it can't be written to."""
    own = folder / safe_name(camera)
    trial = own / f".trial-{os.getpid()}"
    try:
        own.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"the folder {own} can't be written to ({why}); name another") from error
    return own


class Segment:
    """One file being written. `began`: the output's time of its first frame."""

    def __init__(
        self, path: Path, size: tuple[int, int], began: float, sounds: Sequence[Sound], file: IO[bytes]
    ) -> None:
        self.path, self.began, self.size = path, began, size
        self._file = file
        self._synced = began
        self._head = 0
        self._coder = Coder(size, 25.0, KEPT)
        self._wrapping = Wrapping(file, "matroska", size, self._coder.codec, sounds, SAFE)
        self.left_out = self._wrapping.left_out

    @property
    def bytes(self) -> int:
        """Written so far."""
        return self._file.tell()

    def add(self, shown: Shown, seconds: float) -> None:
        """A frame, due at `seconds` of the output."""
        for packet in self._coder.encode(shown.restored, seconds - self.began):
            self._wrapping.add_picture(packet)
        self._head = self._head or self._file.tell()
        if seconds - self._synced >= SYNC:
            self._synced = seconds
            os.fsync(self._file.fileno())

    def add_sound(self, packet: Packet, seconds: float) -> None:
        """A packet as it came, due at `seconds` of the output."""
        duration = packet.duration * packet.time_base
        if seconds >= self.began:
            self._wrapping.add_sound(packet.stream, packet.data, seconds - self.began, duration)

    def close(self) -> None:
        """Finishes it; what fails now leaves a file that plays all the same."""
        with suppress(av.FFmpegError, OSError, ValueError):
            for packet in self._coder.flush():
                self._wrapping.add_picture(packet)
        with suppress(av.FFmpegError, OSError, ValueError):
            self._wrapping.close()
            os.fsync(self._file.fileno())
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            if not self._head or self.path.stat().st_size <= self._head:
                self.path.unlink()  # no picture came that far


class Recorder:
    """The work of recording one camera into `folder`; what can't be written is left out, and tried again.

    `lost`: frames that were not recorded, for want of room or as writing failed.
    """

    def __init__(
        self,
        folder: Path,
        camera: str,
        options: Recording,
        tracks: TracksOf,
        free: Callable[[Path], int] = free_bytes,
        open_file: Callable[[Path], IO[bytes]] = open_file,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.lost = 0
        self._folder, self._camera, self._options, self._tracks = folder, camera, options, tracks
        self._open_file, self._clock, self._wall = open_file, clock, wall
        self._retention = Retention(folder, options.keep, free)
        self._timeline = Timeline(clock)
        self._segment: Segment | None = None
        self._epoch = -1
        self._room = self._retention.tidy(wall())
        self._looked = clock()
        self._again = float("-inf")
        self._told = ""

    def frame(self, shown: Shown) -> None:
        """Records it."""
        seconds = self._timeline.place(shown.taken)
        if not self._room or self._clock() < self._again:
            self.lost += 1
            return
        try:
            self._segment_for(shown, seconds).add(shown, seconds)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.lost += 1
            self._fail(error)
        else:
            self._say("")

    def packet(self, packet: Packet) -> None:
        """Copies what is sound."""
        seconds = self._timeline.place_packet(packet)
        if packet.kind != "audio" or self._segment is None or seconds is None:
            return
        try:
            self._segment.add_sound(packet, seconds)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._fail(error)

    def state(self, state: State, said: str) -> None:
        """A camera that is away leaves a gap in the times."""

    def tick(self) -> None:
        """Looks now and then at what is kept."""
        if self._clock() < self._looked + LOOK:
            return
        self._looked = self._clock()
        try:
            self._room = self._retention.tidy(self._wall(), self._segment.path if self._segment else None)
        except OSError as error:
            self._fail(error)
            return
        if not self._room:
            self._say(NO_ROOM)
            self._finish()

    def end(self) -> None:
        """Finishes the segment."""
        self._finish()

    def _segment_for(self, shown: Shown, seconds: float) -> Segment:
        height, width = even(in_eight_bits(shown.restored)).shape[:2]
        segment = self._segment
        if segment is not None and (
            shown.taken.epoch != self._epoch
            or segment.size != (width, height)
            or seconds - segment.began >= self._options.seconds
            or (self._options.most_bytes is not None and segment.bytes >= self._options.most_bytes)
        ):
            self._finish()
        if self._segment is None:
            self._epoch = shown.taken.epoch
            self._segment = self._begin((width, height), seconds)
        return self._segment

    def _begin(self, size: tuple[int, int], seconds: float) -> Segment:
        if not self._retention.tidy(self._wall()):
            raise OSError(errno.ENOSPC, NO_ROOM)
        path = self._folder / f"{new_name(self._folder, self._wall())}.mkv"
        file = self._open_file(path)
        try:
            segment = Segment(path, size, seconds, sounds_of(self._tracks(self._camera)), file)
        except BaseException:
            file.close()
            path.unlink(missing_ok=True)
            raise
        for sound in segment.left_out:
            log.warning("%s is recorded without its sound: %s is not copied", self._camera, sound.codec)
        return segment

    def _fail(self, error: Exception) -> None:
        """The segment ends; the oldest goes, and soon it is tried again."""
        self._say(reason(error))
        self._finish()
        self._again = self._clock() + AGAIN
        if isinstance(error, OSError) and error.errno in FULL:
            with suppress(OSError):
                self._retention.give_way()

    def _finish(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _say(self, what: str) -> None:
        """Tells what is wrong once, and when it is over."""
        if what != self._told:
            self._told = what
            log.warning("%s is %s", self._camera, f"not recorded: {what}" if what else "recorded again")


def sounds_of(tracks: Sequence[Track]) -> list[Sound]:
    """The tracks of sound among `tracks`."""
    return [Sound(t.index, t.codec, t.extradata, t.rate, t.layout) for t in tracks if t.kind == "audio"]


def open_recording(options: Recording, camera: str, tracks: TracksOf) -> OwnThread:
    """Records `camera` in a thread of its own. Raises UsageError where the folder can't be written to."""
    check_coder()
    recorder = Recorder(folder_for(options.folder, camera), camera, options, tracks)
    return OwnThread(f"the recording of {camera}", camera, recorder)
