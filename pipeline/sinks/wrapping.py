"""Coded video, and tracks as they came, in a container. Imports nothing but FFmpeg: the process that pushes a
stream starts with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import IO, Any

import av
from av.codec.context import CodecContext
from av.packet import Packet

MILLION = 1_000_000
COPIED = {
    "matroska": ("aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "pcm_s16le"),
    "mpegts": ("aac", "mp3", "mp2", "ac3", "eac3", "opus"),
    "hls": ("aac", "mp3", "ac3"),
    "flv": ("aac", "mp3"),
    "rtsp": ("aac", "opus", "pcm_alaw", "pcm_mulaw", "mp3"),
}
"""Sound that each format carries, and players there expect."""
G711 = ("pcm_alaw", "pcm_mulaw")
"""Sound that Matroska gets as PCM, as PyAV lets it have no other; nothing is lost by that."""
ENCODERS = {"opus": "libopus", "mp3": "libmp3lame", "h264": "libx264", "hevc": "libx265"}
"""Encoders whose names are not those of what they make."""


@dataclass(frozen=True)
class Sound:
    """A track of sound, as `live.seam.Track` tells it."""

    index: int
    codec: str
    extradata: bytes
    rate: int
    layout: str


class Wrapping:
    """A container being written. `target`: a path, an address or a file. `video`: the codec of the pictures;
    `extradata`: what its decoder needs, where the first packet does not tell. `left_out`: the tracks of
    `sounds` that it can't carry.

    Raises av.FFmpegError, ValueError or OSError where it can't be.
    """

    def __init__(
        self,
        target: str | IO[bytes],
        format_name: str,
        size: tuple[int, int],
        video: str = "h264",
        sounds: Sequence[Sound] = (),
        options: Mapping[str, str] | None = None,
        extradata: bytes = b"",
    ) -> None:
        self.output = av.open(target, "w", format=format_name, container_options=dict(options or {}))
        self.video: Any
        if extradata:
            self.video = add_copy(self.output, video, extradata, video=size)
        else:
            self.video = self.output.add_mux_stream(video, width=size[0], height=size[1])
        if self.video is None:
            raise ValueError(f"{video} is not copied here")
        self.left_out: list[Sound] = []
        self._sounds: dict[int, Any] = {}
        self._expanders: dict[int, Any] = {}
        self._last: dict[int, int] = {}
        for sound in sounds:
            carried = sound
            if format_name == "matroska" and sound.codec in G711:
                self._expanders[sound.index] = expander(sound)
                carried = replace(sound, codec="pcm_s16le")
            stream = add_sound(self.output, format_name, carried)
            if stream is None:
                self.left_out.append(sound)
            else:
                self._sounds[sound.index] = stream

    def add_picture(self, packet: Packet[Any]) -> None:
        """A packet of an encoder."""
        packet.stream = self.video
        self.output.mux(packet)

    def add_sound(self, index: int, data: bytes, seconds: float, duration: Fraction) -> bool:
        """A packet of track `index`, due at `seconds`; false where it is not carried, or comes too late.

        A track whose packets are refused is left out from then on: sound never harms the pictures.
        """
        stream = self._sounds.get(index)
        stamp = round(seconds * MILLION)
        if stream is None or stamp <= self._last.get(index, -1):
            return False
        self._last[index] = stamp
        try:
            self._mux_sound(stream, self._expanded(index, data), stamp, duration)
        except ValueError:
            del self._sounds[index]
            return False
        return True

    def _expanded(self, index: int, data: bytes) -> bytes:
        if index not in self._expanders:
            return data
        frames = self._expanders[index].decode(Packet(data))
        return b"".join(frame.to_ndarray().tobytes() for frame in frames)

    def _mux_sound(self, stream: Any, data: bytes, stamp: int, duration: Fraction) -> None:
        packet = Packet(data)
        packet.time_base = Fraction(1, MILLION)
        packet.pts = packet.dts = stamp
        packet.duration = round(duration * MILLION)
        packet.is_keyframe = True
        packet.stream = stream
        self.output.mux(packet)

    def close(self) -> None:
        """Finishes the file; a second call does nothing."""
        self.output.close()


def add_sound(output: Any, format_name: str, sound: Sound) -> Any:
    """A stream for packets of a track as they came; None where the format does not carry it."""
    if sound.codec not in COPIED.get(format_name, ()) or sound.rate <= 0:
        return None
    return add_copy(output, sound.codec, sound.extradata, audio=(sound.rate, sound.layout or "mono"))


def expander(sound: Sound) -> Any:
    """A decoder of G.711."""
    context: Any = CodecContext.create(sound.codec, "r")
    context.sample_rate, context.layout = sound.rate, sound.layout or "mono"
    return context


def add_copy(
    output: Any,
    codec: str,
    extradata: bytes,
    audio: tuple[int, str] | None = None,
    video: tuple[int, int] | None = None,
) -> Any:
    """A stream for coded packets, told in numbers: PyAV takes no others than those of an encoder or an input,
    so an encoder of that kind is opened, and what it would tell a decoder replaced. None where there is none.
    """
    try:
        probe(codec, audio, video)
        stream = output.add_stream(ENCODERS.get(codec, codec), rate=audio[0] if audio else 25)
        context = stream.codec_context
        if audio:
            context.layout = audio[1]
        if video:
            context.width, context.height = video
            context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        context.open()
    except (av.FFmpegError, ValueError):
        return None
    if extradata:
        context.extradata = extradata
    return stream


def probe(codec: str, audio: tuple[int, str] | None, video: tuple[int, int] | None) -> None:
    """Raises where such an encoder can't be opened, before a container has a stream of it that can't go."""
    context: Any = CodecContext.create(ENCODERS.get(codec, codec), "w")
    if audio:
        context.sample_rate, context.layout = audio
        context.format = context.codec.audio_formats[0]
    if video:
        context.width, context.height, context.time_base = *video, Fraction(1, 25)
        context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.open()
