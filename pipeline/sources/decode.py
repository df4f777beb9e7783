"""Packets in, pictures out in order of presentation, with a place kept for each that was lost."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

import heapq
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

log = logging.getLogger(__name__)

ONE_EACH = frozenset(
    (
        "h264",
        "hevc",
        "vvc",
        "av1",
        "libdav1d",
        "vp9",
        "mpeg1video",
        "mpeg2video",
        "mjpeg",
        "prores",
        "dnxhd",
        "ffv1",
        "huffyuv",
        "png",
        "rawvideo",
    )
)
"""Codecs of which every packet of a progressive stream gives one picture. Of others (VP8's hidden references,
MPEG-4's packed pictures) one that gives none is missed only where the decoder reported an error."""


@dataclass(frozen=True)
class Decoded:
    """A picture at `pts`, counted in its stream's time base; `picture` None where it was lost."""

    pts: int
    duration: int
    picture: av.VideoFrame | None


class Decoder:
    """Decodes one stream of an open container.

    `unreadable`: an error that ended the reading before the file's end, None where none did.
    `lost_at_start`: packets before the first picture that gave none in spite of an error.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._one_each = stream.codec_context.name in ONE_EACH
        self._due: list[tuple[int, int]] = []
        self._errors = 0
        self._last: int | None = None
        self._duration = usual_duration(stream)
        self.unreadable: Exception | None = None
        self.lost_at_start = 0

    def __iter__(self) -> Iterator[Decoded]:
        for packet in self._packets():
            if packet.size and not packet.is_discard:
                self._expect(packet)
            for picture in self._decode(packet):
                yield from self._arrive(picture)
        yield from self._lost_before(None)

    def _packets(self) -> Iterator[Packet[Any]]:
        try:
            yield from self._container.demux(self._stream)
        except (av.FFmpegError, OSError) as error:
            self.unreadable = error
            yield Packet()

    def _expect(self, packet: Packet[Any]) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            heapq.heappush(self._due, (stamp, packet.duration or self._duration))

    def _decode(self, packet: Packet[Any]) -> list[av.VideoFrame]:
        try:
            return list(self._stream.decode(packet if packet.size else None))
        except av.EOFError:
            return []
        except av.error.MemoryError:
            raise  # it is not the file that is damaged
        except av.FFmpegError as error:
            self._errors += 1
            log.debug("a packet could not be decoded: %s", error)
            return []

    def _arrive(self, picture: av.VideoFrame) -> Iterator[Decoded]:
        stamp = picture.pts if picture.pts is not None else picture.dts
        if stamp is None:
            stamp = 0 if self._last is None else self._last + self._duration
        yield from self._lost_before(stamp)
        duration = picture.duration or self._duration
        while self._due and self._due[0][0] <= stamp:
            heapq.heappop(self._due)
        if self._last is not None and stamp <= self._last:
            log.warning("two pictures have the time stamp %d; the second is one tick later now", stamp)
            stamp = self._last + 1
        self._last = stamp
        yield Decoded(stamp, duration, None if picture.is_corrupt else picture)

    def _lost_before(self, stamp: int | None) -> Iterator[Decoded]:
        while self._due and (stamp is None or self._due[0][0] < stamp):
            due, duration = heapq.heappop(self._due)
            if not self._one_each and self._errors == 0:
                continue
            if self._last is None:
                self.lost_at_start += self._errors > 0
            elif due > self._last:
                self._last = due
                yield Decoded(due, duration, None)
            self._errors = max(0, self._errors - 1)


def usual_duration(stream: VideoStream) -> int:
    """Ticks that a picture lasts at the stream's average rate; 1 where that is unknown."""
    if not stream.average_rate or not stream.time_base:
        return 1
    return max(1, round(1 / (Fraction(stream.average_rate) * stream.time_base)))
