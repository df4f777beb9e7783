"""Copies every stream but the restored one, packet by packet, in step with the pictures."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from derain.engines.errors import UsageError
from derain.pipeline.sources.cut import Cut
from derain.pipeline.sources.probe import open_input

STALE_TAGS = ("encoder", "duration", "bps", "number_of_frames", "number_of_bytes", "_statistics")
"""Beginnings of tags that tell of the old pictures' coding; copied they would be untrue."""


def copyable(container: InputContainer, but: int) -> list[Stream]:
    """The streams to be copied: all but number `but` and those the demuxer set aside (chapter texts of MP4)."""
    return [s for s in container.streams if s.index != but and s.discard != Discard.all]


def describe(stream: Stream) -> str:
    """A stream in words: its number, type, codec and language."""
    codec = (
        stream.codec_context.name
        if stream.codec_context
        else getattr(stream, "name", None) or "unknown codec"
    )
    language = f", {stream.language}" if stream.language else ""
    return f"stream {stream.index} ({stream.type}, {codec}{language})"


def add_copy(output: OutputContainer, stream: Stream) -> Stream:
    """Adds a stream to `output` that takes the packets of `stream` as they are."""
    copy = output.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    copy.time_base = stream.time_base
    copy.disposition = stream.disposition
    return copy


def fits(stream: Stream, format_name: str) -> bool:
    """Whether a container format takes a stream: tried on a file in memory that holds it alone."""
    try:
        with av.open(io.BytesIO(), "w", format=format_name) as trial:
            add_copy(trial, stream)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


class Copier:
    """The other streams of a file on their way into `output`.

    Opens the file itself. Raises UsageError where the output's container can't hold a stream, unless
    `drop_unsupported`; `dropped` names those left out.
    """

    def __init__(
        self, path: Path, video_index: int, cut: Cut, output: OutputContainer, drop_unsupported: bool
    ) -> None:
        self._input = open_input(path)
        self._output, self._cut = output, cut
        streams = copyable(self._input, video_index)
        refused = [s for s in streams if not fits(s, output.format.name)]
        self.dropped = [describe(s) for s in refused]
        if refused and not drop_unsupported:
            self.close()
            raise UsageError(
                f"the {output.format.name} format can't hold {', '.join(self.dropped)} of {path.name}; "
                "name the output .mkv, which holds nearly everything, or say --drop-unsupported to leave it out"
            )
        self._copies = {s.index: add_copy(output, s) for s in streams if s not in refused}
        self._packets = self._read([s for s in streams if s not in refused])
        self._next: Packet | None = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Writes the packets that come before `time` seconds of the output; all that are left for None."""
        while self._next is not None and (time is None or time_of(self._next) < time):
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def _read(self, streams: list[Stream]) -> Iterator[Packet]:
        if not streams:
            return
        for packet in self._input.demux(streams):
            if packet.size == 0 or packet.time_base is None:
                continue
            shift = round(self._cut.shift / packet.time_base)
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None and not self._cut.holds(stamp * packet.time_base):
                continue
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = self._copies[packet.stream_index]
            yield packet

    def close(self) -> None:
        """Closes the input; a second call does nothing."""
        self._input.close()


def time_of(packet: Packet) -> Fraction:
    """When a packet is due in its container, in seconds; packets without any time are due at once."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return Fraction(-(10**9)) if stamp is None or packet.time_base is None else stamp * packet.time_base
