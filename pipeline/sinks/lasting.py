"""A stream that never dies: where its camera is away a stub picture goes on, where its far end is, it is
tried again; its times only go forward."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

import av
import numpy as np
from av.packet import Packet as Coded

from derain.engines.engine import Pixels
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.live.seam import Packet, Shown, State
from derain.pipeline.live.treatment import in_eight_bits
from derain.pipeline.sinks.coder import LIVE, Coder, even, fitted
from derain.pipeline.sinks.recording import TracksOf, sounds_of
from derain.pipeline.sinks.stub import stub
from derain.pipeline.sinks.timeline import Timeline
from derain.pipeline.sinks.wrapping import Sound
from derain.pipeline.sources.backoff import BackOff
from derain.pipeline.sources.probe import reason

log = logging.getLogger(__name__)

LATE = 1.0
"""Seconds without a frame before the stub picture goes on."""
FIRST = 3.0
"""Seconds that the first frame has, which decides on the size of the stream."""
UNKNOWN_SIZE = (1280, 720)
UNKNOWN_PACE = 0.1
"""Seconds between two stub pictures, where there was never a frame."""
PACES = (1 / 60, 1.0)
TICK = 0.02
FAILURES = (av.FFmpegError, OSError, ValueError)


class Writer(Protocol):
    """The far end of a stream. All may raise one of FAILURES; then it is closed and another one made."""

    @property
    def works(self) -> bool:
        """Whether anything has come through."""
        ...

    def ready(self) -> bool:
        """Whether a picture has room now; where it has not, it is left out before it is coded."""
        ...

    def picture(self, packet: Coded[Any]) -> None: ...

    def sound(self, packet: Packet, seconds: float) -> None: ...

    def close(self) -> None: ...


Connect: TypeAlias = Callable[[tuple[int, int], Sequence[Sound]], Writer]
"""For pictures of a size (width, height), with tracks of sound."""


class Pace:
    """How far apart frames come."""

    def __init__(self) -> None:
        self.seconds = UNKNOWN_PACE
        self._last: float | None = None

    def saw(self, now: float) -> None:
        """A frame came."""
        if self._last is not None and now - self._last < PACES[1]:
            self.seconds += 0.1 * (max(PACES[0], now - self._last) - self.seconds)
        self._last = now


class Lasting:
    """The work of streaming `camera` to what `connect` makes. `name`: of the stream, as it is told.

    `lost`: pictures that found no far end, or one that was not ready. `stubs`: of those that went on while
    the camera was away. `connections`: how many there were. The stream has `size` (width, height), None for
    the first frame's; pictures of others are fitted into it.
    """

    def __init__(
        self,
        name: str,
        camera: str,
        connect: Connect,
        tracks: TracksOf,
        size: tuple[int, int] | None = None,
        key_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.lost = self.stubs = self.connections = 0
        self._name, self._camera, self._connect, self._tracks = name, camera, connect, tracks
        self._size, self._key_seconds, self._clock = size, key_seconds, clock
        self._timeline, self._pace = Timeline(clock), Pace()
        self._back_off = BackOff(SourceOptions(), generator or np.random.default_rng())
        self._writer: Writer | None = None
        self._coder: Coder | None = None
        self._sounds: list[Sound] = []
        self._last: Pixels | None = None
        self._came = self._again = self._connected = clock()
        self._epoch = 0
        self._next_stub = float("-inf")
        self._drawn: tuple[int, Pixels] | None = None
        self._told = ""

    @property
    def works(self) -> bool:
        """Whether the far end is there and has got something."""
        writer = self._writer
        return writer is not None and writer.works

    def frame(self, shown: Shown) -> None:
        """Sends it."""
        self._came = self._clock()
        self._pace.saw(self._came)
        self._last, self._drawn = in_eight_bits(shown.restored), None
        seconds = self._timeline.place(shown.taken)
        if shown.taken.epoch != self._epoch:
            self._epoch = shown.taken.epoch
            self._look_at_sound()
        self._put(self._last, seconds)

    def packet(self, packet: Packet) -> None:
        """Sends what is sound."""
        seconds = self._timeline.place_packet(packet)
        if packet.kind != "audio" or self._writer is None or seconds is None:
            return
        try:
            self._writer.sound(packet, seconds)
        except FAILURES as error:
            self._fail(error)

    def state(self, state: State, said: str) -> None:
        """What counts is whether frames come."""

    def tick(self) -> None:
        """Sends the stub picture when it is due."""
        now = self._clock()
        away = now - self._came
        if away < (FIRST if self._last is None else LATE) or now < self._next_stub:
            return
        self._next_stub = max(self._next_stub + self._pace.seconds, now)
        self.stubs += 1
        self._put(self._stub(away), self._timeline.now())

    def end(self) -> None:
        """Ends the stream."""
        self._leave()

    def _stub(self, away: float) -> Pixels:
        """Drawn anew each second."""
        if self._drawn is None or self._drawn[0] != int(away):
            size = self._size or UNKNOWN_SIZE
            self._drawn = int(away), stub(self._last, size, self._camera, away)
        return self._drawn[1]

    def _put(self, pixels: Pixels, seconds: float) -> None:
        if self._size is None:
            height, width = even(pixels).shape[:2]
            self._size = width, height
        try:
            writer = self._there(self._size)
            if writer is None or self._coder is None or not writer.ready():
                self.lost += 1
                return
            for packet in self._coder.encode(fitted(pixels, self._size), seconds):
                writer.picture(packet)
            if self.works:
                self._say("")
        except FAILURES as error:
            self.lost += 1
            self._fail(error)

    def _there(self, size: tuple[int, int]) -> Writer | None:
        """The far end, made anew when it is time for it."""
        if self._writer is None and self._clock() >= self._again:
            self._sounds = sounds_of(self._tracks(self._camera))
            self._connected = self._clock()
            self._coder = Coder(size, 1 / self._pace.seconds, LIVE, self._key_seconds)
            self.connections += 1
            self._writer = self._connect(size, self._sounds)
        return self._writer

    def _look_at_sound(self) -> None:
        """A stream can't change its tracks; where the camera's are others now, it begins anew."""
        sounds = sounds_of(self._tracks(self._camera))
        if self._writer is not None and sounds != self._sounds:
            self._leave()

    def _fail(self, error: Exception) -> None:
        worked = self.works
        self._say(reason(error))
        self._leave()
        now = self._clock()
        self._again = now + self._back_off.next(now - self._connected if worked else 0.0, refused=False)

    def _leave(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(*FAILURES):
                writer.close()

    def _say(self, what: str) -> None:
        """Tells what is wrong once, and when it is over."""
        if what != self._told:
            self._told = what
            words = f"is away and is tried again: {what}" if what else "goes on"
            log.warning("%s of %s %s", self._name, self._camera, words)
