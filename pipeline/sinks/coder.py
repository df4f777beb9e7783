"""Live pictures to H.264: at times of their own, a key frame every few seconds, whole at each of them."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

from collections.abc import Mapping
from fractions import Fraction

import av
import cv2
import numpy as np
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.colour import HD_HEIGHT, FromRGB
from derain.pipeline.frame import Colour
from derain.pipeline.live.treatment import in_eight_bits

ENCODER = "libx264"
CLOCK = Fraction(1, 90_000)
KEY_SECONDS = 2.0
LIVE = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "maxrate": "8M", "bufsize": "8M"}
"""For whoever watches from afar."""
KEPT = {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}
"""For what is looked at later. Nothing is held back in the encoder: a power cut would take it."""


def even(pixels: Pixels) -> Pixels:
    """With its last column and row twice where their number is odd: H.264 codes colours for two by two."""
    height, width = pixels.shape[:2]
    if not (height % 2 or width % 2):
        return pixels
    rows: Pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return rows


def fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """`pixels` as large as fits into `size` (width, height), between black bars."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    scale = min(size[0] / width, size[1] / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    inner = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    picture = np.zeros((size[1], size[0], 3), pixels.dtype)
    left, top = (size[0] - wide) // 2, (size[1] - high) // 2
    picture[top : top + high, left : left + wide] = inner
    return picture


class Coder:
    """An encoder for pictures of `size` (width, height, both even), about `rate` a second. Its packets count
    `CLOCK`; what a decoder needs stands before each key frame."""

    def __init__(
        self, size: tuple[int, int], rate: float, options: Mapping[str, str], key_seconds: float = KEY_SECONDS
    ) -> None:
        self.size = size
        colour = Colour(1, 1, 1, 1) if size[1] >= HD_HEIGHT else Colour(6, 1, 6, 6)
        self._context = opened(size, rate, options, colour)
        self._from_rgb = FromRGB("yuv420p", colour, size[1])
        self._key_seconds, self._duration = key_seconds, round(1 / max(1.0, rate) / CLOCK)
        self._next_key = float("-inf")

    @property
    def codec(self) -> str:
        """FFmpeg's name of what comes out."""
        return self._context.codec.canonical_name

    def encode(self, pixels: Pixels, seconds: float) -> list[Packet[VideoStream]]:
        """A picture (H, W, 3) of that size, due at `seconds`."""
        picture = self._from_rgb(even(in_eight_bits(pixels)))
        picture.pts, picture.time_base = round(seconds / CLOCK), CLOCK
        picture.duration = self._duration
        if seconds >= self._next_key:
            picture.pict_type = PictureType.I
            self._next_key = seconds + self._key_seconds
        return self._context.encode(picture)

    def flush(self) -> list[Packet[VideoStream]]:
        """What is still inside."""
        return self._context.encode(None)


def check_coder() -> None:
    """Raises UsageError where this FFmpeg has no encoder for live pictures."""
    if ENCODER not in av.codecs_available:
        raise UsageError(
            f"the FFmpeg in this PyAV has no {ENCODER}, which live outputs need; take the one of its wheels: "
            "pip install --force-reinstall --only-binary av av"
        )


def opened(
    size: tuple[int, int], rate: float, options: Mapping[str, str], colour: Colour
) -> VideoCodecContext:
    """libx264 at work; raises DerainError where this FFmpeg has none, or it refuses."""
    try:
        context = CodecContext.create(ENCODER, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = *size, "yuv420p"
        context.time_base = CLOCK
        context.framerate = Fraction(max(1.0, rate)).limit_denominator(1001)
        context.colorspace, context.color_range = colour.matrix, colour.range
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        context.options = {**options, "forced-idr": "1"}
        context.flags |= Flags.frame_duration
        context.thread_count = 2
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise DerainError(f"no H.264 can be made of {size[0]}x{size[1]} pictures here: {error}") from error
    return context
