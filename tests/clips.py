"""Makes the video files that tests need: tiny, and each odd in its own way."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.stream import Disposition, Stream

WIDTH, HEIGHT = 64, 48
SECOND = Fraction(1)
SAMPLE_RATE = 44100
SUBTITLE = b"rain, rain, go away"


@dataclass
class Clip:
    """What to write: one picture at each of `times` (counted in `time_base`), and what goes with it.

    `colour`: (matrix, range, primaries, transfer) in FFmpeg's numbers. `audio`: the language of each track.
    `subtitles`: seconds at which one is shown, for half a second. `extras`: adds further streams; what it
    returns is called when pictures and sound are written. `edit`: changes the video stream before it begins.
    """

    times: Sequence[int] = tuple(range(12))
    time_base: Fraction = Fraction(1, 25)
    rate: Fraction | int = 25
    width: int = WIDTH
    height: int = HEIGHT
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    colour: tuple[int, int, int, int] = (2, 0, 2, 2)
    audio: Sequence[str] = ()
    audio_codec: str = "aac"
    audio_start: Fraction = Fraction(0)
    subtitles: Sequence[float] = ()
    subtitle_codec: str = "mov_text"
    metadata: dict[str, str] = field(default_factory=dict)
    video_metadata: dict[str, str] = field(default_factory=dict)
    chapters: Sequence[tuple[float, float, str]] = ()
    picture: Callable[[int, int, int], npt.NDArray[Any]] | None = None
    frames: Callable[[int], av.VideoFrame] | None = None
    edit: Callable[[Any], None] | None = None
    extras: Callable[[OutputContainer], Callable[[], None]] | None = None

    def write(self, path: Path) -> Path:
        """Writes the clip in the format of `path`'s name and returns `path`."""
        options = dict(self.container_options)
        if path.suffix in (".mp4", ".mov"):
            options.setdefault("video_track_timescale", str(self.time_base.denominator))
        options.setdefault("avoid_negative_ts", "disabled")
        with av.open(str(path), "w", container_options=options) as output:
            output.metadata.update(self.metadata)
            output.set_chapters([chapter(n, *c) for n, c in enumerate(self.chapters)])
            video = self._add_video(output)
            tones = [add_tone(output, self.audio_codec, language) for language in self.audio]
            subtitle = add_subtitle(output, self.subtitle_codec) if self.subtitles else None
            finish = self.extras(output) if self.extras else None
            self._encode(output, video)
            for number, tone in enumerate(tones):
                write_tone(output, tone, self.audio_start, self._seconds(), 300 + 200 * number)
            if subtitle is not None:
                write_subtitles(output, subtitle, self.subtitles)
            if finish is not None:
                finish()
        return path

    def _seconds(self) -> float:
        return float((max(self.times, default=0) - min(self.times, default=0)) * self.time_base) + 0.1

    def _add_video(self, output: OutputContainer) -> Any:
        stream: Any = output.add_stream(self.codec, rate=self.rate, options=dict(self.options))
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, self.pixel_format
        stream.codec_context.time_base = self.time_base
        stream.time_base = self.time_base
        stream.metadata.update(self.video_metadata)
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = self.colour
        if self.edit:
            self.edit(stream)
        return stream

    def _encode(self, output: OutputContainer, stream: Any) -> None:
        for number, pts in enumerate(self.times):
            frame = self.frames(number) if self.frames else self._frame(number)
            frame.pts, frame.time_base = pts, self.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())

    def _frame(self, number: int) -> av.VideoFrame:
        pixels = (self.picture or picture)(number, self.width, self.height)
        packed = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
        frame = av.VideoFrame.from_ndarray(pixels, packed)
        # With several threads swscale writes a few other samples now and then.
        return frame.reformat(format=self.pixel_format, threads=1)


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """A smooth (H, W, 3) RGB picture, another one for each number."""
    y, x = np.mgrid[0:height, 0:width]
    red = 60 + 120 * x / max(width - 1, 1)
    green = 60 + 120 * y / max(height - 1, 1)
    blue = np.full(x.shape, 70 + (number * 11) % 120)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def chapter(number: int, start: float, end: float, title: str) -> Any:
    """A chapter in milliseconds, as PyAV takes it."""
    times = {"start": round(start * 1000), "end": round(end * 1000), "time_base": Fraction(1, 1000)}
    return {"id": number, "metadata": {"title": title}, **times}


def add_tone(output: OutputContainer, codec: str, language: str) -> Any:
    """Adds a mono track tagged with a language."""
    rate = 48000 if codec == "libopus" else SAMPLE_RATE
    stream = output.add_stream(codec, rate=rate, layout="mono")
    stream.metadata["language"] = language
    return stream


def write_tone(output: OutputContainer, stream: Any, start: Fraction, seconds: float, pitch: float) -> None:
    """Encodes a sine of `pitch` Hz."""
    rate, size = stream.codec_context.sample_rate, 1024
    kind = stream.codec_context.format.name
    for number in range(max(1, int(seconds * rate / size))):
        at = (np.arange(size) + number * size) / rate
        wave = 0.3 * np.sin(2 * np.pi * pitch * at)
        samples = wave.astype(np.float32) if kind.startswith("flt") else (wave * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], kind, "mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = number * size + int(start * rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


def add_subtitle(output: OutputContainer, codec: str) -> Stream:
    """Adds a French subtitle track, its packets made by hand."""
    stream = output.add_mux_stream(codec)
    stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = "fre"
    return stream


def write_subtitles(output: OutputContainer, stream: Stream, seconds: Sequence[float]) -> None:
    """Writes one subtitle at each time."""
    for at in seconds:
        text = SUBTITLE
        if stream.container.format.name in ("mp4", "mov"):
            text = len(SUBTITLE).to_bytes(2, "big") + SUBTITLE
        packet = av.Packet(text)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = round(at * 1000)
        packet.duration = 500
        output.mux(packet)


def attachment(output: OutputContainer) -> Callable[[], None]:
    """An `extras` that attaches a font."""
    output.add_attachment("rain.ttf", "application/x-truetype-font", b"\x00\x01\x00\x00font" * 9)
    return lambda: None


def jpeg() -> bytes:
    """A small JPEG picture."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="mjpeg") as output:
        stream = output.add_stream("mjpeg", rate=1, options={"strict": "unofficial"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(picture(3, 32, 32), "rgb24")
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return memory.getvalue()


def cover(output: OutputContainer) -> Callable[[], None]:
    """An `extras` that adds a cover picture."""
    stream = output.add_mux_stream("mjpeg", width=32, height=32)
    stream.time_base = Fraction(1, 90000)
    stream.disposition = Disposition.attached_pic
    stream.metadata.update({"filename": "cover.jpg", "mimetype": "image/jpeg"})
    packet = av.Packet(jpeg())
    packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 90000), True
    packet.pts = packet.dts = 0
    output.mux(packet)
    return lambda: None


def remux(
    source: Path,
    path: Path,
    shift: int = 0,
    change: Callable[[int, Any], Any] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Copies a clip's packets, `shift` video ticks later (by time for the rest).

    `change` gets each video packet with its number and gives what is written for it, None for nothing.
    """
    with av.open(str(source)) as original, av.open(str(path), "w", container_options=options) as output:
        output.container_options["avoid_negative_ts"] = "disabled"
        copies = [output.add_stream_from_template(s, opaque=True) for s in original.streams]
        seconds = shift * (original.streams.video[0].time_base or SECOND)
        number = 0
        for packet in original.demux():
            index, kept = packet.stream_index, packet if packet.size else None
            if kept is not None and change is not None and original.streams[index].type == "video":
                kept = change(number, kept)
                number += 1
            if kept is not None:
                by = round(seconds / (kept.time_base or SECOND))
                kept.pts, kept.dts = (kept.pts or 0) + by, (kept.dts or 0) + by
                kept.stream = copies[index]
                output.mux(kept)
    return path
