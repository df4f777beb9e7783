"""Watches over one connection of a live source: frames that do not come, and frames that are always the same.

Nothing here knows a clock: whoever asks says what time it is.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.live.seam import State
from derain.pipeline.sources.telling import Over, Why

START = 20.0
"""Seconds for the process of a reader to be there."""
GRACE = 1.0
"""Seconds that a reader has to say itself that its time is up."""
ALIKE = 2
"""Levels of 255 by which a coded still picture may differ from itself."""
SEEN = 64
"""Rows and columns that are looked at, before the whole picture is."""


class Stillness:
    """Since when a picture has been the same. A camera's noise, or a clock in the picture, is movement."""

    def __init__(self) -> None:
        self._picture: Pixels | None = None
        self._pts: int | None = None
        self._picture_since = self._pts_since = 0.0

    def forget(self) -> None:
        """What comes next has nothing to do with what was."""
        self._picture = self._pts = None

    def look(self, pixels: Pixels, pts: int | None, now: float) -> None:
        """The next frame."""
        if self._picture is None or not alike(self._picture, pixels):
            self._picture, self._picture_since = pixels, now
        if pts is None or pts != self._pts:
            self._pts, self._pts_since = pts, now

    def since(self) -> tuple[float, str]:
        """When it began to stand still, and what does."""
        if self._pts_since < self._picture_since:
            return self._pts_since, "the time stamps stand still"
        return self._picture_since, "the picture is always the same"


def alike(one: Pixels, other: Pixels) -> bool:
    """Whether two pictures are the same, but for what coding does to them."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    most = ALIKE * (257 if one.dtype == np.uint16 else 1)
    rows, columns = max(1, one.shape[0] // SEEN), max(1, one.shape[1] // SEEN)
    few, fewer = (np.ascontiguousarray(picture[::rows, ::columns]) for picture in (one, other))
    return cv2.norm(few, fewer, cv2.NORM_INF) <= most and cv2.norm(one, other, cv2.NORM_INF) <= most


@dataclass(frozen=True)
class Seen:
    """What a source is like, and why; `give_up`: the connection is to be given up for that."""

    state: State
    said: str = ""
    give_up: Over | None = None


class Watch:
    """One connection from `now` on. `stillness`: goes on where it is the one before, opened anew."""

    def __init__(self, options: SourceOptions, stillness: Stillness, now: float) -> None:
        self._options, self._stillness = options, stillness
        self._started = now
        self._began: float | None = None
        self._first: float | None = None
        self._frame: float | None = None

    @property
    def alive(self) -> bool:
        """Whether there was a frame."""
        return self._frame is not None

    @property
    def lived(self) -> float:
        """Seconds from the first frame to the last."""
        return 0.0 if self._first is None or self._frame is None else self._frame - self._first

    def began(self, now: float) -> None:
        """The reader is there."""
        self._began = now

    def frame(self, pixels: Pixels, pts: int | None, held: bool, now: float) -> None:
        """A frame came."""
        self._frame = now
        self._first = now if self._first is None else self._first
        if not held and self._options.frozen:
            self._stillness.look(pixels, pts, now)

    def look(self, now: float) -> Seen:
        """What it is like."""
        options = self._options
        if self._frame is None:
            return self._opening(now)
        away = now - self._frame
        if away > options.read_timeout + GRACE:
            return Seen(State.STALLED, give_up=lost(f"no picture came for {options.read_timeout:g} s"))
        if options.stall and away > options.stall:
            return Seen(State.STALLED, f"no picture came for {options.stall:g} s")
        since, what = self._stillness.since()
        if options.frozen and now - since > options.frozen:
            said = f"{what} for {options.frozen:g} s"
            return Seen(State.FROZEN, said, Over(Why.STILL, said))
        return Seen(State.LIVE)

    def _opening(self, now: float) -> Seen:
        if self._began is None and now - self._started > START:
            return Seen(State.OPENING, give_up=lost(f"its reader did not start within {START:g} s"))
        if self._began is not None and now - self._began > self._options.open_timeout + GRACE:
            return Seen(
                State.OPENING, give_up=lost(f"no picture came within {self._options.open_timeout:g} s")
            )
        return Seen(State.OPENING)


def lost(text: str) -> Over:
    """The connection is of no use."""
    return Over(Why.LOST, text)
