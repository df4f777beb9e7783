"""What cameras give and what comes of it, for tests of live outputs: tiny frames, sound, files read back."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from derain.pipeline.frame import Frame
from derain.pipeline.live.seam import Packet, Shown, Taken, Track

BASE = Fraction(1, 25)
RATE = 16000
SAMPLES = 1024
LEVEL = 6
"""Steps of grey between two frames."""


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


def shown(
    number: int,
    *,
    epoch: int = 0,
    pts: int | None = None,
    size: tuple[int, int] = (64, 48),
    camera: str = "front",
) -> Shown:
    """Frame `number`: rainy is grey of a level that tells the number, restored the same, a square altered."""
    rainy = np.full((size[1], size[0], 3), 40 + LEVEL * (number % 30), np.uint8)
    restored = rainy.copy()
    restored[8:24, 8:24] += 30
    frame = Frame(rainy, number if pts is None else pts, BASE, 1)
    return Shown(
        camera, Taken(frame, number, epoch, 100 + number / 25), restored, rain=0.5, handed=100.1 + number / 25
    )


def number_of(pixels: npt.NDArray[Any]) -> int:
    """The frame's number modulo 30, read from its lower right corner."""
    return round((float(pixels[-8:, -8:].mean()) - 40) / LEVEL)


def sound(seconds: float, epoch: int = 0) -> tuple[Track, list[Packet]]:
    """A track of AAC and its packets."""
    context: Any = av.codec.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = RATE, "mono", "fltp"
    context.time_base = Fraction(1, RATE)
    context.open()
    track = Track(1, "audio", "aac", bytes(context.extradata), Fraction(1, RATE), RATE, "mono")
    packets = []
    for number in range(int(seconds * RATE / SAMPLES)):
        tone = np.sin(np.arange(SAMPLES) * 0.1, dtype=np.float32)[None] / 4
        frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, number * SAMPLES, Fraction(1, RATE)
        packets += context.encode(frame)
    return track, [
        Packet(1, "audio", bytes(p), p.pts, p.dts, p.duration, Fraction(1, RATE), True, epoch)
        for p in packets
    ]


def numbers(path: Path) -> list[int]:
    """Of all frames of a file, from what they show."""
    with av.open(f"file:{path}") as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def times(path: Path, kind: str = "video") -> list[float]:
    """Of all packets of a file's first stream of a kind, in seconds."""
    with av.open(f"file:{path}") as container:
        stream = getattr(container.streams, kind)[0]
        return [float(p.pts * p.time_base) for p in container.demux(stream) if p.size and p.pts is not None]
