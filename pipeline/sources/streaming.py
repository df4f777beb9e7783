"""From an open container to frames and packets, for as long as it gives any."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.pipeline.colour import ToRGB
from derain.pipeline.frame import Colour
from derain.pipeline.live.seam import Packet, Track
from derain.pipeline.sources.hurry import SAID, Hurry
from derain.pipeline.sources.out import Out
from derain.pipeline.sources.probe import describe
from derain.pipeline.sources.telling import Facts, Opened
from derain.pipeline.sources.whole import Whole
from derain.pipeline.sources.words import Words

BEFORE = 512
"""Packets that are kept until there is a picture."""
AT_WORK = 64
"""Packets of which the decoder may not have given the picture yet."""
INTERLACED = "its pictures are interlaced and restored as they are; have it send whole ones, if it can"


class Streaming:
    """Reads one container, its pictures one after another. Counts go on where `after` is the one before.

    `packets`: coded packets of its pictures and sound are wanted. `shift`: seconds that all times are later.
    """

    def __init__(
        self,
        container: InputContainer,
        out: Out,
        words: Words,
        packets: bool = False,
        shift: Fraction = Fraction(0),
        after: Streaming | None = None,
    ) -> None:
        self._container, self._out, self._words = container, out, words
        self._stream = video_of(container)
        self._shift = round(shift / (self._stream.time_base or Fraction(1)))
        self._shift_seconds, self._packets = shift, packets
        context = self._stream.codec_context
        context.thread_count = 1  # with several, pictures come later, and the damaged ones are not all marked
        context.options = {"flags": "+output_corrupt"}
        self.decoded: int = 0 if after is None else after.decoded
        self.held: int = 0 if after is None else after.held
        self._kind: object = None if after is None else after._kind
        self._good: Pixels | None = None if after is None else after._good
        self._colour: Colour = Colour() if after is None else after._colour
        self._to_rgb, self._whole = ToRGB(), Whole()
        self._before: list[Packet] = []
        self._arrived: dict[int, float] = {}
        self._last: int | None = None
        self._hurry, self._hurried = Hurry(time.monotonic()), False

    def packets(self) -> Iterator[Any]:
        """Its packets, for `take`."""
        sound = self._container.streams.audio if self._packets else ()
        yield from self._container.demux(self._stream, *sound)

    def take(self, packet: Any, waited: float = 1.0) -> None:
        """Passes a packet on, and the pictures that come of it. `waited`: seconds, for it to come."""
        now = time.monotonic()
        if self._packets and packet.size:
            self._pass_on(packet)
        if packet.stream_index != self._stream.index:
            return
        if packet.is_corrupt or self._words.lost():
            self._whole.damage(now)
        if not self._in_time(packet, waited, now):
            return
        self._note(packet, now)
        for picture in self._decode(packet, now):
            self._show(picture, now)

    def _in_time(self, packet: Any, waited: float, now: float) -> bool:
        """Whether there is time to decode it; told once where there is not for all of them."""
        takes = self._hurry.takes(waited, packet.is_keyframe, now)
        if self._hurry.on and not self._hurried:
            self._hurried = True
            self._out.noted(SAID)
        return takes

    def _decode(self, packet: Any, now: float) -> list[av.VideoFrame]:
        try:
            return list(self._stream.decode(packet))
        except av.EOFError:
            return []
        except av.FFmpegError:
            self._whole.damage(now)
            pts = packet.pts
            if self._good is not None and pts is not None and (self._last is None or pts > self._last):
                self._give(pts, packet.duration or 0, now, held=True)
            return []

    def _show(self, picture: av.VideoFrame, now: float) -> None:
        arrived = now if picture.pts is None else self._arrived.pop(picture.pts, now)
        held = not self._whole.shows(picture, now)
        if not held:
            self._open(picture)
            self._good = self._to_rgb(picture, self._colour)
        if self._good is not None:
            self._give(picture.pts, picture.duration or 0, arrived, held)

    def _give(self, pts: int | None, duration: int, arrived: float, held: bool) -> None:
        assert self._good is not None
        self.decoded, self.held = self.decoded + 1, self.held + held
        self._last = self._last if pts is None else pts
        at = None if pts is None else pts + self._shift
        base = self._stream.time_base or Fraction(1)
        counts = (self.decoded, self.held)
        self._out.frame(self._good, Facts(at, base, duration, self._colour, held, arrived, counts))

    def _open(self, picture: av.VideoFrame) -> None:
        """Tells what the stream is, where this picture is the first of its kind."""
        kind = (picture.width, picture.height, picture.format.name, self._stream.codec_context.name)
        if kind == self._kind:
            return
        self._kind = kind
        info = replace(describe(self._stream, picture, Path()), path=None)
        self._colour = info.colour
        sound = self._container.streams.audio if self._packets else ()
        self._out.opened(Opened(info, tuple(track_of(stream) for stream in (self._stream, *sound))))
        if picture.interlaced_frame:
            self._out.noted(INTERLACED)
        for before in self._before:
            self._out.packet(before)
        self._before.clear()

    def _pass_on(self, packet: Any) -> None:
        coded = coded_of(packet, self._shift_seconds)
        if self._kind is None:
            self._before = [*self._before[1 - BEFORE :], coded]
        else:
            self._out.packet(coded)

    def _note(self, packet: Any, now: float) -> None:
        if packet.pts is not None:
            self._arrived[packet.pts] = now
            if len(self._arrived) > AT_WORK:
                del self._arrived[next(iter(self._arrived))]


def video_of(container: InputContainer) -> VideoStream:
    """The first video stream that is no cover picture. Raises DerainError where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            if stream.codec_context is None:
                raise DerainError("there is no decoder here for its pictures")
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise DerainError(f"it has no pictures (it holds {kinds})")


def coded_of(packet: Any, shift: Fraction) -> Packet:
    """A packet with its bytes, `shift` seconds later."""
    base = packet.time_base
    later = round(shift / base)
    return Packet(
        stream=packet.stream_index,
        kind=packet.stream.type,
        data=bytes(packet),
        pts=None if packet.pts is None else packet.pts + later,
        dts=None if packet.dts is None else packet.dts + later,
        duration=packet.duration or 0,
        time_base=base,
        key=packet.is_keyframe,
        epoch=0,
    )


def track_of(stream: Stream) -> Track:
    """What a stream is."""
    context: Any = stream.codec_context
    sound = stream.type == "audio"
    return Track(
        index=stream.index,
        kind=stream.type,
        codec=context.codec.canonical_name,
        extradata=bytes(context.extradata or b""),
        time_base=stream.time_base or Fraction(1),
        rate=context.sample_rate if sound else 0,
        layout=context.layout.name if sound else "",
    )
