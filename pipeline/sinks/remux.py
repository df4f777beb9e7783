"""Copies every stream but the restored one, packet by packet, in step with the pictures."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

import io
import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from derain.engines.errors import UsageError
from derain.pipeline.sinks.container import (
    COUNT_FRAMES,
    ENDINGS,
    HOLD_COVERS,
    MATROSKA,
    MOV_FAMILY,
    MPEG_TS_CODECS,
)
from derain.pipeline.sources.cut import Cut
from derain.pipeline.sources.probe import open_input, reason

log = logging.getLogger(__name__)

NO_TEXT = b"\x00\x00"
"""A subtitle packet of the MOV family that only fills a gap; its muxer makes these anew."""
COVER = Disposition.attached_pic
ALWAYS = Fraction(-(10**9))


def copyable(container: InputContainer, but: int) -> list[Stream]:
    """The streams to be copied: all but number `but` and what the demuxer set aside (MP4's chapter texts)."""
    return [s for s in container.streams if s.index != but and s.discard != Discard.all]


def in_words(stream: Stream) -> str:
    """A stream's number, type, codec and language."""
    context: Any = stream.codec_context
    codec = context.name if context else getattr(stream, "name", None) or "unknown codec"
    language = f", {stream.language}" if stream.language else ""
    return f"stream {stream.index} ({stream.type}, {codec}{language})"


def codec_id(stream: Stream) -> str:
    """FFmpeg's name of a stream's codec, the same for each of its decoders."""
    context: Any = stream.codec_context
    return str(context.codec.canonical_name) if context else str(getattr(stream, "name", None) or "")


def add_copy(output: OutputContainer, stream: Stream) -> Stream:
    """Adds a stream to `output` that takes the packets of `stream` as they are."""
    copy = output.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    if stream.time_base is not None:
        copy.time_base = stream.time_base
    copy.disposition = stream.disposition
    return copy


def becomes_attachment(stream: Stream, format_name: str) -> bool:
    """Whether a stream is a cover picture that the format keeps as an attachment."""
    return bool(stream.disposition & COVER) and format_name in MATROSKA


def becomes_tag(stream: Stream, format_name: str) -> bool:
    """Whether a stream is a MOV file's time code, of which a tag of the video stream is made again."""
    return stream.type == "data" and "timecode" in stream.metadata and format_name in MOV_FAMILY | MATROSKA


def fits(stream: Stream, format_name: str) -> bool:
    """Whether a container format takes a stream: tried on a file in memory that holds it alone.

    MPEG-TS takes anything and calls what it does not know data, MOV leaves covers out: told by name.
    """
    if stream.disposition & COVER and format_name not in HOLD_COVERS:
        return False
    if format_name == "mpegts" and codec_id(stream) not in MPEG_TS_CODECS:
        return False
    if becomes_attachment(stream, format_name):
        return True
    try:
        with av.open(io.BytesIO(), "w", format=format_name) as trial:
            add_copy(trial, stream)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


class Copier:
    """The other streams of a file on their way into `output`.

    Opens the file itself, as `original`. `refused` names the streams that the output's format can't hold.
    Packets keep their time stamps less the cut's shift, rounded to the stream's time base; a subtitle shown
    when the cut begins is shown from there.
    """

    def __init__(self, path: Path, video_index: int, cut: Cut, output: OutputContainer) -> None:
        self.original = open_input(path)
        self._path, self._output, self._cut = path, output, cut
        self._format = output.format.name
        self._video_index = video_index
        streams = copyable(self.original, video_index)
        streams = [s for s in streams if not becomes_tag(s, self._format)]
        self._streams = [s for s in streams if fits(s, self._format)]
        self.refused = [in_words(s) for s in streams if s not in self._streams]
        self._copies: dict[int, Stream] = {}
        self._clipped: set[int] = set()
        self._packets: Iterator[Packet[Any]] = iter(())
        self._next: Packet[Any] | None = None

    def begin(self, add_video: Callable[[], None]) -> None:
        """Adds the streams to the output in their order, the restored one by `add_video`; writes nothing."""
        for stream in self.original.streams:
            if stream.index == self._video_index:
                add_video()
            elif stream not in self._streams:
                continue
            elif becomes_attachment(stream, self._format):
                self._attach(stream)
            else:
                self._copies[stream.index] = add_copy(self._output, stream)
        self._packets = self._read()
        self._next = next(self._packets, None)

    def _attach(self, stream: Stream) -> None:
        with open_input(self._path) as container:
            data = next(bytes(p) for p in container.demux(container.streams[stream.index]) if p.size)
        kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
        name = stream.metadata.get("filename", "cover.png" if kind == "png" else "cover.jpg")
        self._output.add_attachment(name, stream.metadata.get("mimetype", f"image/{kind}"), data)

    def copy_until(self, time: Fraction | None) -> None:
        """Writes the packets that come before `time` seconds of the output; all that are left for None."""
        while self._next is not None and (time is None or due(self._next) < time):
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def _read(self) -> Iterator[Packet[Any]]:
        wanted = [self.original.streams[index] for index in self._copies]
        if not wanted:
            return
        try:
            for packet in self.original.demux(wanted):
                if packet.size and self._place(packet):
                    packet.stream = self._copies[packet.stream_index]
                    yield packet
        except (av.FFmpegError, OSError) as error:
            log.warning("%s: its other streams can't be read to the end (%s)", self._path, reason(error))

    def _place(self, packet: Packet[Any]) -> bool:
        """Moves a packet to its time in the output; false where it has no place there."""
        stream, base = packet.stream, packet.time_base or Fraction(1)
        if stream.disposition & COVER:
            return True
        if self._format in MOV_FAMILY and stream.type == "subtitle" and bytes(packet) == NO_TEXT:
            return False
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and not self._cut.holds(stamp * base) and not self._reaches_in(packet, stamp):
            return False
        shift = round(self._cut.shift / base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        return not self._before_zero(packet, stream)

    def _reaches_in(self, packet: Packet[Any], stamp: int) -> bool:
        """Whether a subtitle begins before the cut and is still shown in it; then it begins with it."""
        start, base = self._cut.start, packet.time_base or Fraction(1)
        end = stamp + (packet.duration or 0)
        if packet.stream.type != "subtitle" or start is None or stamp * base >= start or end * base <= start:
            return False
        first = round(start / base)
        packet.pts, packet.dts, packet.duration = first, first, end - first
        return True

    def _before_zero(self, packet: Packet[Any], stream: Stream) -> bool:
        if self._format not in COUNT_FRAMES or packet.pts is None or packet.pts >= 0:
            return False
        if stream.index not in self._clipped:
            self._clipped.add(stream.index)
            name, what = self._path.name, in_words(stream)
            log.warning("%s: what %s has before time zero is left out: %s has none", name, what, self._format)
        return True

    def close(self) -> None:
        """Closes the input; a second call does nothing."""
        self.original.close()


def due(packet: Packet[Any]) -> Fraction:
    """When a packet is due in its container, in seconds; packets without any time are due at once."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return ALWAYS if stamp is None or packet.time_base is None else stamp * packet.time_base


def refuse(missing: list[str], format_name: str, path: Path) -> None:
    """Raises UsageError where something of `path` can't be held, and says the ways out."""
    if missing:
        raise UsageError(
            f"the {format_name} format can't hold {', '.join(missing)} of {path.name}; "
            f"{another_container(format_name, path)}say --drop-unsupported to leave out what does not fit"
        )


def another_container(format_name: str, path: Path) -> str:
    """The way out by another name of the output, in words; "" where there is none."""
    if format_name != "matroska":
        return "name the output .mkv, which holds nearly everything, or "
    ending = path.suffix.lower()
    return f"name the output {ending}, as the input is, or " if ending in ENDINGS else ""
