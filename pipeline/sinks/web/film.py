"""One camera as H.264, coded while somebody watches, and once for all who do.

A video can't leave out pictures as a row of stills can: who joins, or falls behind, begins at a key frame.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import av
import cv2
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from derain.pipeline.live.seam import Shown
from derain.pipeline.sinks.web.feeds import Feed
from derain.pipeline.sinks.web.pictures import Stack, View, stacked

Coded: TypeAlias = "av.Packet[VideoStream]"

CODEC = "libx264"
OPTIONS = {
    "preset": "superfast",
    "tune": "zerolatency",
    "profile": "baseline",
    "crf": "23",
    "maxrate": "8M",
    "bufsize": "2M",
    "forced-idr": "1",
    "g": "30",
}
"""A key frame each second or so, as nobody can ask for one that a network lost."""
BT601, LIMITED = 6, 1
"""What OpenCV makes of RGB, in FFmpeg's numbers."""
CLOCK = Fraction(1, 90_000)
MOST_WAITING = 8
"""Packets that a viewer may be behind."""


@dataclass(frozen=True)
class Shape:
    """How the parts lie in the pictures of a film, as in `Stack`."""

    width: int
    height: int
    pitch: int
    parts: int


def shape_of(stack: Stack) -> Shape:
    """How its parts lie."""
    return Shape(stack.width, stack.height, stack.pitch, stack.parts)


class Coder:
    """Frames of one camera to packets, called from one thread at a time."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._codec: VideoCodecContext | None = None

    def code(self, shown: Shown, key: bool) -> tuple[Shape, list[Coded]]:
        """One frame; it begins anew where the size has changed."""
        stack = stacked(shown, self._view)
        height, width = stack.picture.shape[:2]
        if self._codec is None or (self._codec.width, self._codec.height) != (width, height):
            self._codec = opened(width, height)
        planes = cv2.cvtColor(stack.picture, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = int(time.monotonic() / CLOCK), CLOCK
        if key:
            frame.pict_type = PictureType.I
        return shape_of(stack), self._codec.encode(frame)


def opened(width: int, height: int) -> VideoCodecContext:
    """An encoder for pictures of that size."""
    codec = CodecContext.create(CODEC, "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base, codec.framerate = CLOCK, Fraction(30)
    codec.colorspace, codec.color_range = BT601, LIMITED  # browsers take it for BT.709 where nothing is said
    codec.options = OPTIONS
    codec.thread_count = 1
    return codec


class Reel:
    """What one viewer gets of a film: every packet from a key frame on, or from a later one. `shaped` is told
    the shape of its pictures, before the first one and when it has changed."""

    def __init__(self, film: "Film", shaped: Callable[[Shape], None]) -> None:
        self.film = film
        self._shaped = shaped
        self._shape: Shape | None = None
        self._packets: deque[Coded] = deque()
        self._whole = False
        self._news = asyncio.Event()

    def put(self, shape: Shape, packet: Coded) -> None:
        """From the film."""
        if shape != self._shape:
            self._shape = shape
            self._shaped(shape)
        if len(self._packets) >= MOST_WAITING:
            self._packets.clear()
            self._whole = False
        self._whole = self._whole or packet.is_keyframe
        if not self._whole:
            self.film.want_key()
            return
        self._packets.append(packet)
        self._news.set()

    async def next(self) -> Coded:
        """The packet after the last one."""
        while not self._packets:
            self._news.clear()
            await self._news.wait()
        return self._packets.popleft()


class Film:
    """Belongs to the event loop."""

    def __init__(self, feed: Feed, view: View) -> None:
        self._feed, self._view = feed, view
        self._reels: set[Reel] = set()
        self._key = False
        self._running: asyncio.Task[None] | None = None

    def join(self, shaped: Callable[[Shape], None]) -> Reel:
        """A viewer comes: the film begins anew for all with a key frame, of the last frame if need be."""
        reel = Reel(self, shaped)
        self._reels.add(reel)
        self._stop()
        self._running = asyncio.create_task(self._run())
        return reel

    def leave(self, reel: Reel) -> None:
        """A viewer goes; with the last one the coding ends. Idempotent."""
        self._reels.discard(reel)
        if not self._reels:
            self._stop()

    def want_key(self) -> None:
        """The next frame is to be a key frame."""
        self._key = True

    def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def _run(self) -> None:
        coder, stamp = Coder(self._view), 0
        loop = asyncio.get_running_loop()
        while True:
            stamp, shown = await self._feed.newer(stamp)
            key, self._key = self._key, False
            shape, packets = await loop.run_in_executor(self._feed.pool, coder.code, shown, key)
            for reel in self._reels:
                for packet in packets:
                    reel.put(shape, packet)
