"""Where a video's chroma samples lie, which PyAV does not tell: read from a Matroska header made of it."""

import io

import av
from av.video.stream import VideoStream

CHROMA_SITING = {(1, 2): 1, (2, 2): 2, (1, 1): 3, (2, 1): 4}
"""Matroska's (horizontal, vertical) chroma siting -> FFmpeg's AVChromaLocation; none for the bottom."""
HORIZONTAL, VERTICAL = b"\x55\xb7\x81", b"\x55\xb8\x81"
"""Their element numbers, each with a size of one byte."""


def chroma_location(stream: VideoStream) -> int:
    """FFmpeg's AVChromaLocation of a stream being read, 0 where it does not say."""
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as scratch:
            scratch.add_stream_from_template(stream, opaque=True)
            scratch.start_encoding()
    except (av.FFmpegError, ValueError):
        return 0  # Matroska has no name for the codec, as for some old ones, none of which says either
    data = header.getvalue()
    return CHROMA_SITING.get((byte_after(data, HORIZONTAL), byte_after(data, VERTICAL)), 0)


def byte_after(data: bytes, mark: bytes) -> int:
    """The byte behind the first `mark`, 0 where there is none."""
    at = data.find(mark)
    return 0 if at < 0 else data[at + len(mark)]
