"""A segment of evidence being written: the original, what was made of it, where pixels were altered."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import CodecContext
from av.packet import Packet as Coded

from derain.engines.engine import Pixels
from derain.pipeline.compare import MASK_LEVELS, altered
from derain.pipeline.live.seam import Packet, Shown, Track
from derain.pipeline.live.treatment import in_eight_bits
from derain.pipeline.sinks.coder import CLOCK, Coder
from derain.pipeline.sinks.recording import SAFE, sounds_of
from derain.pipeline.sinks.wrapping import Wrapping

FINE = {"preset": "veryfast", "tune": "zerolatency", "crf": "16"}
COLUMNS = ("number", "epoch", "pts", "time_base", "seconds", "arrived", "altered", "rain", "held")
"""What is noted of each frame: its number among all that came, the connection, its time stamp there, seconds
in `restored.mkv`, when it arrived, the share of pixels that were altered, the rain's score, and whether it
stands in for a damaged one."""

FRAME = Fraction(1, 25)
"""Seconds between packets that came without a time."""


class Exact:
    """Pictures without any loss: "gray" (H, W) or "rgb24" (H, W, 3), uint8, of `size` (width, height)."""

    def __init__(self, size: tuple[int, int], kind: str) -> None:
        self._kind = kind
        context: Any = CodecContext.create("ffv1", "w")
        context.width, context.height = size
        context.pix_fmt = "gray" if kind == "gray" else "bgr0"
        context.time_base, context.framerate = CLOCK, Fraction(25)
        context.open()
        self._context = context

    @property
    def extradata(self) -> bytes:
        """What a decoder needs."""
        return bytes(self._context.extradata or b"")

    def encode(self, pixels: Pixels, seconds: float) -> list[Coded[Any]]:
        """A picture."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), self._kind)
        if self._kind == "rgb24":
            frame = frame.reformat(format="bgr0")
        frame.pts, frame.time_base = round(seconds / CLOCK), CLOCK
        packets: list[Coded[Any]] = self._context.encode(frame)
        return packets


class Original:
    """The packets of a connection as they came, from a key frame on; or, where the source has none, its
    pictures as they were decoded."""

    def __init__(self, path: Path, size: tuple[int, int], tracks: Sequence[Track]) -> None:
        video = next((track for track in tracks if track.kind == "video"), None)
        self._exact = None if video else Exact(size, "rgb24")
        codec, extradata = (video.codec, video.extradata) if video else ("ffv1", b"")
        if self._exact:
            extradata = self._exact.extradata
        self._track = video.index if video else None
        self._wrapping = Wrapping(
            str(path), "matroska", size, codec, sounds_of(tracks), SAFE, extradata=extradata
        )
        self._begun = False
        self._first: Fraction | None = None
        self._timeless: list[Packet] = []
        self._last_dts: int | None = None

    @property
    def kind(self) -> str:
        """What it holds, in words."""
        return "pictures as they were decoded" if self._exact else "packets as they came"

    def add_frame(self, pixels: Pixels, seconds: float) -> None:
        """A picture, where there are no packets."""
        if self._exact:
            for packet in self._exact.encode(in_eight_bits(pixels), seconds):
                self._wrapping.add_picture(packet)

    def add(self, packet: Packet) -> None:
        """A packet; those before the first key frame of the pictures belong to nothing."""
        self._begun = self._begun or self.begins(packet)
        if self._exact or not self._begun:
            return
        if packet.stream == self._track:
            self._add_video(packet)
        elif packet.kind == "audio" and self._first is not None:
            stamp, duration = stamp_of(packet), packet.duration * packet.time_base
            if stamp is not None:
                self._wrapping.add_sound(packet.stream, packet.data, float(stamp - self._first), duration)

    def begins(self, packet: Packet) -> bool:
        """Whether a segment may begin with it."""
        return packet.stream == self._track and packet.key

    def _add_video(self, packet: Packet) -> None:
        """The first packets of an RTSP connection may come without a time: they wait for the next one's."""
        stamp = stamp_of(packet)
        if stamp is None and self._first is None:
            self._timeless.append(packet)
            return
        timeless, self._timeless = self._timeless, []
        if self._first is None and stamp is not None:
            begins = stamp if packet.dts is None else packet.dts * packet.time_base
            self._first = begins - len(timeless) * FRAME
        for number, before in enumerate(timeless):
            self._write(before, round(number * FRAME / packet.time_base), None)
        self._write(packet, self._placed(packet, packet.pts), self._placed(packet, packet.dts))

    def _placed(self, packet: Packet, stamp: int | None) -> int | None:
        """A time stamp, counted from the beginning of the file."""
        return None if stamp is None or self._first is None else stamp - round(self._first / packet.time_base)

    def _write(self, packet: Packet, pts: int | None, dts: int | None) -> None:
        coded = Coded(packet.data)
        coded.time_base, coded.is_keyframe = packet.time_base, packet.key
        least = -round(1 / packet.time_base) if self._last_dts is None else self._last_dts + 1
        pts = pts if pts is not None else dts if dts is not None else least
        dts = max(least, pts - round(1 / packet.time_base) if dts is None else dts)
        self._last_dts = dts
        coded.pts, coded.dts, coded.duration = max(pts, dts), dts, packet.duration
        self._wrapping.add_picture(coded)

    def close(self) -> None:
        """Finishes the file."""
        for number, packet in enumerate(self._timeless):
            self._write(packet, round(number * FRAME / packet.time_base), None)
        self._wrapping.close()


class Segment:
    """One segment being written into the folder `path`."""

    def __init__(
        self, path: Path, camera: str, size: tuple[int, int], tracks: Sequence[Track], began: float
    ) -> None:
        self.path, self.began, self.size = path, began, size
        self.original = Original(path / "original.mkv", size, tracks)
        even_size = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._coder, self._mask = Coder(even_size, 25.0, FINE), Exact(size, "gray")
        self._restored = Wrapping(str(path / "restored.mkv"), "matroska", even_size, options=SAFE)
        self._altered = Wrapping(
            str(path / "altered.mkv"), "matroska", size, "ffv1", options=SAFE, extradata=self._mask.extradata
        )
        self._camera = camera
        self._frames: list[list[Any]] = []
        self._engines: list[dict[str, str]] = []

    def add(self, shown: Shown, seconds: float, engine: Mapping[str, str]) -> None:
        """A frame, with what `engine` tells of what restored it."""
        at = seconds - self.began
        rainy, restored = in_eight_bits(shown.taken.frame.pixels), in_eight_bits(shown.restored)
        mask = altered(rainy, restored)
        self.original.add_frame(rainy, at)
        for packet in self._coder.encode(restored, at):
            self._restored.add_picture(packet)
        for packet in self._mask.encode(mask, at):
            self._altered.add_picture(packet)
        self._note(shown, at, float(np.count_nonzero(mask)) / mask.size)
        if engine and dict(engine) not in self._engines:
            self._engines.append(dict(engine))

    def _note(self, shown: Shown, at: float, share: float) -> None:
        taken = shown.taken
        arrived = time.time() - (time.monotonic() - taken.arrived)
        rain = None if shown.rain is None else round(shown.rain, 4)
        self._frames.append(
            [
                *(taken.number, taken.epoch, taken.frame.pts, str(taken.frame.time_base), round(at, 6)),
                *(in_utc(arrived), round(share, 6), rain, taken.frame.held),
            ]
        )

    def close(self, dropped: int) -> dict[str, Any]:
        """Finishes the files; gives what the side-car is to say."""
        for packet in self._coder.flush():
            self._restored.add_picture(packet)
        for wrapping in (self._restored, self._altered, self.original):
            wrapping.close()
        return {
            "camera": self._camera,
            "derain": version("derain"),
            "engines": self._engines,
            "original": self.original.kind,
            "altered": f"white where a colour differs by more than {MASK_LEVELS} of 255",
            "dropped": dropped,
            "columns": COLUMNS,
            "frames": self._frames,
        }


def stamp_of(packet: Packet) -> Fraction | None:
    """When a packet is due, in seconds of its connection."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    return None if stamp is None else stamp * packet.time_base


def in_utc(seconds: float) -> str:
    """A time of day in words that sort."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
