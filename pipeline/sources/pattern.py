"""A moving test picture with rain of its own, at its own pace: a camera for whoever has none.

Each frame follows from its number alone, but for the mark burned into it (`marks`).
"""

import threading
import time
from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels
from derain.pipeline.frame import Frame
from derain.pipeline.live.seam import Give, GivePacket, SourceCounts, State, Taken, Track
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.marks import burn, mark_at, marked_height

SIZE = (1280, 720)
RATE = Fraction(25)
SEED = 7
PAN = 4
"""The scene is so much wider than the picture, in quarters, plus one: what the camera pans over."""
PAN_SECONDS = 12.0
LONG = 48
"""A streak for every so many columns."""
DROPS = 9
JOIN = 1.5
"""Seconds that `stop` waits for the thread, which is never busy for so long."""


class Scenery:
    """Draws the frames of a pattern of `size` (width, height) at `rate`: a street of plain shapes that is
    panned over, streaks that fall, and drops on the lens."""

    def __init__(self, size: tuple[int, int], rate: Fraction, seed: int = SEED) -> None:
        self.width, self.height = size
        self._rate = rate
        generator = np.random.default_rng(seed)
        self._scene = scene(self.width * (PAN + 1) // PAN, self.height, generator)
        count = max(12, self.width // LONG * 3)
        self._streaks = generator.random((count, 5))
        self._drops = [drop(self.width, self.height, generator) for _ in range(DROPS)]

    def clean(self, number: int) -> Pixels:
        """(H, W, 3) RGB uint8 without rain."""
        room = self._scene.shape[1] - self.width
        turn = 2 * np.pi * number / float(self._rate) / PAN_SECONDS
        left = round(room * (0.5 - 0.5 * np.cos(turn)))
        return self._scene[:, left : left + self.width].copy()

    def rainy(self, number: int) -> Pixels:
        """The same with rain."""
        picture = self.clean(number)
        for x, y, mask in self._drops:
            lay_drop(picture, x, y, mask)
        return np.asarray(cv2.add(picture, self._falling(number)))

    def _falling(self, number: int) -> Pixels:
        """The light of the streaks of a frame: each falls, at its own speed, along its own slant."""
        layer = np.zeros((self.height, self.width, 3), np.uint8)
        seconds = number / float(self._rate)
        for x, y, speed, length, bright in self._streaks:
            long = self.height * (0.05 + 0.11 * length)
            top = (y + seconds * (0.9 + 0.8 * speed)) % 1.25 * (self.height + long) - long
            left = x * self.width * 1.1 - 0.15 * top
            start = (round(left), round(top))
            end = (round(left - 0.15 * long), round(top + long))
            light = int(50 + 110 * bright)
            cv2.line(layer, start, end, (light,) * 3, 1 + self.height // 500, cv2.LINE_AA)
        return layer


def scene(width: int, height: int, generator: np.random.Generator) -> Pixels:
    """A sky, houses with windows, a road: what is smooth, what has edges, and what has fine detail."""
    picture = np.empty((height, width, 3), np.uint8)
    shade = np.linspace(0, 1, height)[:, None]
    picture[:] = (np.array([96, 128, 168]) + shade * np.array([70, 50, 20]))[:, None]
    ground = height * 3 // 4
    x = 0
    while x < width:
        wide = int(generator.integers(width // 16 + 2, width // 8 + 4))
        top = int(height * generator.uniform(0.28, 0.55))
        colour = generator.integers(50, 150, 3)
        picture[top:ground, x : x + wide] = colour
        paint_windows(picture[top:ground, x : x + wide], generator)
        x += wide
    picture[ground:] = (70, 72, 76)
    dash = max(2, width // 24)
    middle = slice(ground + height // 9, ground + height // 9 + max(1, height // 60))
    picture[middle, np.arange(width) // dash % 2 == 0] = (210, 205, 180)
    return picture


def paint_windows(house: Pixels, generator: np.random.Generator) -> None:
    """A grid of windows, some of them lit."""
    step = max(6, house.shape[1] // 5)
    for y in range(step // 2, house.shape[0] - step // 2, step):
        for x in range(step // 4, house.shape[1] - step // 2, step):
            lit = generator.random() < 0.3
            house[y : y + step // 2, x : x + step // 2] = (214, 190, 120) if lit else (36, 44, 56)


def drop(width: int, height: int, generator: np.random.Generator) -> tuple[int, int, npt.NDArray[np.float32]]:
    """(x, y, mask) of a drop on the lens below the mark: its mask (h, w, 1) is soft at its edge."""
    radius = max(3, int(height * generator.uniform(0.03, 0.07)))
    side = 2 * radius + 1
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1] / radius
    mask = np.clip((1 - np.hypot(x * 1.15, y)) * 3, 0, 1).astype(np.float32)[..., None]
    left = int(generator.integers(0, max(1, width - side)))
    least = marked_height(height)
    return left, int(generator.integers(least, max(least + 1, height - side))), mask


def lay_drop(picture: Pixels, x: int, y: int, mask: npt.NDArray[np.float32]) -> None:
    """A drop shows what is behind it upside down, unsharp and a little lighter."""
    place = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    mask = mask[: place.shape[0], : place.shape[1]]
    if place.size:
        seen = cv2.blur(place[::-1, ::-1].copy(), (5, 5)) * np.float32(0.85) + np.float32(34)
        place[:] = place * (1 - mask) + seen * mask


class PatternSource:
    """The test pattern as a `LiveSource`. Frames that it can't draw in time are left out, as a camera would:
    their numbers are missing in the marks and time stamps. `lossless`: they are drawn all the same, and late.
    """

    def __init__(
        self,
        name: str,
        shown: str,
        size: tuple[int, int] = SIZE,
        rate: Fraction = RATE,
        lossless: bool = False,
    ) -> None:
        self.name, self.shown = name, shown
        self.said = ""
        self._state = State.OPENING
        self.tracks: Sequence[Track] = ()
        self.info: StreamInfo | None = StreamInfo(
            *size, 1 / rate, average_rate=rate, real_rate=rate, codec="pattern", pixel_format="rgb24"
        )
        self._size, self._rate, self._lossless = size, rate, lossless
        self._decoded = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> State:
        """OPENING, LIVE, then ENDED."""
        return self._state

    @property
    def counts(self) -> SourceCounts:
        """So far."""
        return SourceCounts(decoded=self._decoded)

    def start(self, give: Give, packets: GivePacket | None = None) -> None:
        """Begins to draw. There are no packets."""
        if self._thread is None and not self._over.is_set():
            self._thread = threading.Thread(
                target=self._run, args=(give,), name=f"source {self.name}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._over.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN)
        self._state = State.ENDED

    def _run(self, give: Give) -> None:
        scenery = Scenery(self._size, self._rate)
        self._state = State.LIVE
        began, number = time.monotonic(), 0
        while not self._over.wait(max(0.0, began + number / self._rate - time.monotonic())):
            pixels, now = scenery.rainy(number), time.monotonic()
            burn(pixels, mark_at(number, now))
            taken = Taken(Frame(pixels, number, 1 / self._rate, 1), self._decoded, 0, now)
            self._decoded += 1
            if not self._over.is_set():
                give(taken)
            due = 0 if self._lossless else int((time.monotonic() - began) * self._rate)
            number = max(number + 1, due)
