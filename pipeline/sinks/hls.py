"""A folder with a playlist and segments, for any web server and player: HLS."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from av.packet import Packet as Coded

from derain.engines.errors import UsageError
from derain.pipeline.live.seam import Packet
from derain.pipeline.sinks.coder import check_coder
from derain.pipeline.sinks.lasting import TICK, Lasting
from derain.pipeline.sinks.own_thread import OwnThread
from derain.pipeline.sinks.recording import TracksOf, folder_for
from derain.pipeline.sinks.wrapping import Sound, Wrapping

PLAYLIST = "live.m3u8"
FLAGS = "delete_segments+independent_segments+program_date_time+temp_file"
GOING_ON = "+append_list+discont_start"
"""Behind what another run, or another connection, left."""


@dataclass(frozen=True)
class Hls:
    """`folder`: one for each camera is made in it. Segments have `seconds`, the playlist the last `most` of
    them; older ones are removed. Raises UsageError for what makes no sense."""

    folder: Path
    seconds: float = 2.0
    most: int = 6

    def __post_init__(self) -> None:
        if not 0.5 <= self.seconds <= 60:
            raise UsageError(f"a segment of HLS has {self.seconds:g} s; it takes 0.5 s to 60 s")
        if not 2 <= self.most <= 10_000:
            raise UsageError(f"a playlist of HLS has {self.most} segments; it takes 2 to 10000")


class HlsWriter:
    """See lasting.Writer."""

    def __init__(self, folder: Path, options: Hls, size: tuple[int, int], sounds: Sequence[Sound]) -> None:
        self.works = False
        playlist = folder / PLAYLIST
        wanted = {
            "hls_time": f"{options.seconds:g}",
            "hls_list_size": str(options.most),
            "hls_flags": FLAGS + (GOING_ON if playlist.exists() else ""),
            "hls_segment_filename": f"{escaped(folder)}/live-%06d.ts",
            "max_interleave_delta": "200000",
        }
        self._wrapping = Wrapping(str(playlist), "hls", size, "h264", sounds, wanted)

    def ready(self) -> bool:
        """The disk takes what it gets."""
        return True

    def picture(self, packet: Coded[Any]) -> None:
        """See Writer."""
        self._wrapping.add_picture(packet)
        self.works = True

    def sound(self, packet: Packet, seconds: float) -> None:
        """See Writer."""
        self._wrapping.add_sound(packet.stream, packet.data, seconds, packet.duration * packet.time_base)

    def close(self) -> None:
        """Ends the playlist."""
        self._wrapping.close()


def escaped(folder: Path) -> str:
    """A folder's name in a pattern for numbered files."""
    return str(folder).replace("%", "%%")


def open_hls(options: Hls, camera: str, tracks: TracksOf, size: tuple[int, int] | None = None) -> OwnThread:
    """Streams `camera` into its folder. Raises UsageError where it can't be written to."""
    check_coder()
    folder = folder_for(options.folder, camera)
    work = Lasting(
        "the HLS folder", camera, partial(HlsWriter, folder, options), tracks, size, options.seconds
    )
    return OwnThread(f"the HLS folder of {camera}", camera, work, TICK)
