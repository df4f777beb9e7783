"""What a video file holds, found before any work: its main stream, its pictures, why it is refused."""

import logging
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from derain.engines.errors import UsageError
from derain.pipeline.colour import bit_depth, has_alpha, known_matrix
from derain.pipeline.frame import Colour
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.siting import chroma_location

log = logging.getLogger(__name__)

DISPLAY_MATRIX = "DISPLAYMATRIX"
KEPT_SIDE_DATA = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", DISPLAY_MATRIX)
NOT_CARRIED = {
    "A53_CC": "closed captions",
    "DYNAMIC_HDR_PLUS": "HDR10+ description of each scene",
    "DYNAMIC_HDR_VIVID": "HDR Vivid description of each scene",
    "DOVI_METADATA": "Dolby Vision layer",
    "SPHERICAL": "mark as a 360 degree video",
    "STEREO3D": "mark as a 3D video",
}
"""What may come with coded pictures that PyAV can't give to an encoder."""
INTERLACED_ORDERS = (2, 3, 4, 5)
"""AVFieldOrder values of pictures made of two fields."""
AV_TIME_BASE = 1_000_000


@dataclass(frozen=True)
class Probe:
    """`info` of the main video stream, its index; the file's first time and its length in seconds."""

    info: StreamInfo
    stream_index: int
    origin: Fraction
    length: Fraction | None


def open_input(path: Path, hwaccel: HWAccel | None = None) -> InputContainer:
    """Opens a media file for reading; UsageError with one sentence where that can't be done.

    `hwaccel`: what decodes pictures in the CPU's place.
    """
    if not path.exists():
        raise UsageError(f"there is no file {path}; check the name of the input")
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a video file; name one file in it")
    if not path.is_file():
        raise UsageError(f"{path} is a pipe or a device, which can't be read twice; save it to a file first")
    if path.stat().st_size == 0:
        raise UsageError(f"{path} is empty (0 bytes); copy or record it again")
    try:
        return av.open(f"file:{path}", "r", metadata_errors="replace", hwaccel=hwaccel)
    except PermissionError as error:
        raise UsageError(f"{path} can't be read: you have no permission to open it") from error
    except (av.FFmpegError, ValueError) as error:
        raise UsageError(
            f"{path} is not a video that can be read ({reason(error)}); "
            "it is cut off, damaged, or something else under a video's name"
        ) from error


def reason(error: Exception) -> str:
    """FFmpeg's own words for an error, without numbers and file names."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """The stream that is restored: the first video stream that is not a cover picture. Raises UsageError."""
    for stream in container.streams.video:
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            if stream.codec_context is None:
                raise UsageError(f"{path}: there is no decoder for its video stream {stream.index}")
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams}))
    if not kinds:
        raise UsageError(f"{path} has no pictures (its length is zero)")
    raise UsageError(f"{path} has no video stream (it holds {kinds}); derain works on pictures")


def probe(path: Path, as_progressive: bool = False) -> Probe:
    """Reads a file's description and decodes its first picture. Raises UsageError where it won't do."""
    with open_input(path) as container:
        stream = main_video(container, path)
        first = first_frame(container, stream, path)
        info = describe(stream, first, path)
        refuse(info, first, stream, as_progressive)
        tell_what_is_lost(first, path)
        origin = Fraction(container.start_time or 0, AV_TIME_BASE)
        length = Fraction(container.duration, AV_TIME_BASE) if container.duration else None
        return Probe(info, stream.index, origin, length)


def first_frame(container: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    """The first picture that can be decoded; UsageError where there is none."""
    packets = errors = 0
    for packet in container.demux(stream):
        packets += packet.size > 0
        try:
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    return frame
        except av.InvalidDataError:
            errors += 1
    if not packets:
        raise UsageError(f"{path} has no pictures (its length is zero)")
    raise UsageError(f"{path}: none of its {packets} pictures can be decoded ({errors} are damaged)")


def describe(stream: VideoStream, frame: av.VideoFrame, path: Path) -> StreamInfo:
    """The description of a video stream from its container and its first picture."""
    side_data = {name: bytes(data) for name, data in side_data_of(frame) if name in KEPT_SIDE_DATA}
    matrix = side_data.pop(DISPLAY_MATRIX, None)
    return StreamInfo(
        width=frame.width,
        height=frame.height,
        time_base=stream.time_base or Fraction(1, AV_TIME_BASE),
        bit_depth=bit_depth(frame.format),
        average_rate=stream.average_rate or None,
        real_rate=stream.base_rate or None,
        sample_aspect_ratio=stream.sample_aspect_ratio or None,
        duration=stream.duration,
        start_time=stream.start_time,
        frames=stream.frames or None,
        codec=stream.codec_context.name,
        pixel_format=frame.format.name,
        rotation=frame.rotation,
        colour=colour_of(frame, stream),
        path=path,
        display_matrix=struct.unpack("=9i", matrix) if matrix else None,
        side_data=side_data,
    )


def side_data_of(frame: av.VideoFrame) -> list[tuple[str, Any]]:
    """What comes with a picture, FFmpeg's bytes with its names."""
    items: list[Any] = list(cast(Any, frame.side_data))  # typed as a mapping, but gives its values
    return [(item.type.name, item) for item in items]


def tell_what_is_lost(frame: av.VideoFrame, path: Path) -> None:
    """Warns of what the first picture brings that the output will be without."""
    for name, _ in side_data_of(frame):
        if name in NOT_CARRIED:
            log.warning("%s: its %s can't be carried over; the output is without", path, NOT_CARRIED[name])


def colour_of(frame: av.VideoFrame, stream: VideoStream) -> Colour:
    """The tags of a decoded picture and its stream."""
    return Colour(
        matrix=int(frame.colorspace),
        range=int(frame.color_range),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        chroma_location=chroma_location(stream),
    )


def refuse(info: StreamInfo, frame: av.VideoFrame, stream: VideoStream, as_progressive: bool) -> None:
    """Raises UsageError for what would come out wrong: transparent, interlaced, of an unknown matrix."""
    if has_alpha(frame.format):
        raise UsageError(
            f"{info.path}: its pictures are transparent (pixel format {info.pixel_format}), which derain "
            "can't keep; flatten them first, for example with ffmpeg -i INPUT -vf format=yuv420p OUTPUT"
        )
    if not as_progressive and (
        frame.interlaced_frame or stream.codec_context.field_order in INTERLACED_ORDERS
    ):
        raise UsageError(f"{info.path} is interlaced; {HOW_TO_DEINTERLACE}")
    if not frame.format.is_rgb:
        known_matrix(info.colour, info.height)


HOW_TO_DEINTERLACE = (
    "deinterlace it first, for example with ffmpeg -i INPUT -vf bwdif OUTPUT, "
    "or say --as-progressive if its pictures are whole all the same"
)
