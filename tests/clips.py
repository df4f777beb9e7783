"""Makes the video files that tests need: tiny, and each odd in its own way."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 64, 48


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """A smooth (H, W, 3) RGB picture, another one for each number."""
    y, x = np.mgrid[0:height, 0:width]
    red = 60 + 120 * x / max(width - 1, 1)
    green = 60 + 120 * y / max(height - 1, 1)
    blue = np.full(x.shape, 70 + (number * 11) % 120)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def write_clip(
    path: Path,
    times: Sequence[int] = tuple(range(12)),
    time_base: Fraction = Fraction(1, 25),
    width: int = WIDTH,
    height: int = HEIGHT,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    audio: Sequence[str] = (),
    **video: Any,
) -> Path:
    """Writes one picture at each of `times` (in `time_base`), and a tone for each language in `audio`."""
    rate = video.pop("rate", 25)
    container_options = {"video_track_timescale": str(time_base.denominator)} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", container_options=container_options) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        for name, value in video.items():
            setattr(stream, name, value)
        tones = [add_tone(output, language) for language in audio]
        seconds = float(max(times) * time_base) + 0.1
        for number, pts in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, width, height), "rgb24")
            frame.pts, frame.time_base = pts, time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        for number, tone in enumerate(tones):
            write_tone(output, tone, seconds, 300 + 200 * number)
    return path


def add_tone(output: av.container.OutputContainer, language: str) -> av.AudioStream:
    """Adds an AAC track tagged with a language."""
    stream = output.add_stream("aac", rate=44100, layout="mono")
    stream.metadata["language"] = language
    return stream


def write_tone(
    output: av.container.OutputContainer, stream: av.AudioStream, seconds: float, pitch: float
) -> None:
    """Encodes a sine of `pitch` Hz."""
    for number in range(int(seconds * 44100 / 1024)):
        at = (np.arange(1024) + number * 1024) / 44100
        samples = (0.3 * np.sin(2 * np.pi * pitch * at)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 44100, number * 1024, Fraction(1, 44100)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())
