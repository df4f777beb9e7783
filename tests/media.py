"""Reads video files back for tests: all a user could miss, in values that stay when the file is closed."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition


@dataclass
class Packets:
    """One stream. `packets`: (time in seconds, payload), in file order."""

    kind: str
    codec: str
    tags: dict[str, str]
    disposition: int
    packets: list[tuple[Fraction | None, bytes]] = field(default_factory=list)


@dataclass
class Media:
    """One file. `times`: of the decoded pictures of its main video, in seconds."""

    streams: list[Packets]
    times: list[Fraction]
    tags: dict[str, str]
    chapters: list[tuple[Fraction, Fraction, str]]
    average_rate: Fraction | None
    sample_aspect_ratio: Fraction | None
    pixel_format: str
    side_data: dict[str, bytes]
    attachments: list[tuple[str | None, bytes]]

    def others(self) -> list[Packets]:
        """The streams beside the main video."""
        first = next(i for i, s in enumerate(self.streams) if s.kind == "video" and s.codec != "mjpeg")
        return [s for i, s in enumerate(self.streams) if i != first]


def read(path: Path) -> Media:
    """Reads a whole file."""
    with av.open(f"file:{path}") as container:
        streams = [describe(stream) for stream in container.streams]
        for packet in container.demux():
            if packet.size:
                time = None if packet.pts is None else packet.pts * packet.time_base
                streams[packet.stream_index].packets.append((time, bytes(packet)))
    with av.open(f"file:{path}") as container:
        video = next(s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
        base = cast(Fraction, video.time_base)
        frames = list(container.decode(video))
        items = cast(Any, frames[0].side_data)
        return Media(
            streams=streams,
            times=[cast(int, frame.pts) * base for frame in frames],
            tags={k.lower(): v for k, v in container.metadata.items()},
            chapters=[
                (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"].get("title", ""))
                for c in container.chapters()
                if c["time_base"]
            ],
            average_rate=video.average_rate,
            sample_aspect_ratio=video.sample_aspect_ratio,
            pixel_format=frames[0].format.name,
            side_data={item.type.name: bytes(item) for item in items},
            attachments=[(s.name, s.data) for s in container.streams.attachments],
        )


def describe(stream: Any) -> Packets:
    """One stream, its packets still to come."""
    codec = stream.codec_context.name if stream.codec_context else str(getattr(stream, "name", ""))
    tags = {k.lower(): v for k, v in stream.metadata.items()}
    return Packets(stream.type, codec, tags, int(stream.disposition))


def pixels(path: Path, number: int = 0) -> npt.NDArray[Any]:
    """Picture `number` of the first video as its coded planes, each (H, W), in an array of objects."""
    with av.open(f"file:{path}") as container:
        frames = list(container.decode(video=0))
        return planes(frames[number])


def planes(frame: av.VideoFrame) -> npt.NDArray[Any]:
    """The planes of a planar picture, each (H, W) of int."""
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    found = np.empty(len(frame.planes), dtype=object)
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
        found[number] = rows[:, : plane.width].astype(int)
    return found
