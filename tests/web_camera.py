"""Cameras made of nothing for the page: numbered frames at their own pace, and a run that only remembers."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.pipeline.frame import Frame
from derain.pipeline.live.seam import CameraFigures, Figures, Shown, Spans, State, Taken
from derain.pipeline.sinks.web.opening import OpenedWeb, open_web
from derain.pipeline.sources.marks import burn, mark_at
from derain.pipeline.sources.pattern import Scenery

SIZE = (320, 180)
RED, GREEN = (200, 40, 40), (40, 200, 40)
TOKEN = "a-token-that-nobody-guesses"


class FakeControl:
    """Tells figures that move, and keeps the strengths."""

    def __init__(self, cameras: Sequence[str], backend: str = "openvino") -> None:
        self.backend = backend
        self.cameras = {
            name: CameraFigures(name, f"rtsp://{name}.example/***", State.LIVE, "", *SIZE) for name in cameras
        }
        self.asked = 0

    def figures(self) -> Figures:
        """Other ones each time."""
        self.asked += 1
        wave = float(np.sin(self.asked))
        moving: dict[str, Any] = {
            "camera_fps": 25.0,
            "restored_fps": 24 + wave,
            "dropped": 2 * self.asked,
            "rain": 0.4 + 0.3 * wave,
            "latency": Spans(100, 0.040 + 0.01 * wave, 0.07, 0.09),
        }
        cameras = tuple(replace(camera, **moving) for camera in self.cameras.values())
        return Figures(cameras, "realtime-s", self.backend, "int8", float(self.asked), 10**8)

    def set_strength(self, camera: str, strength: float) -> None:
        """As `live.seam.Control` says."""
        if not 0 <= strength <= 1:
            raise UsageError(f"the strength is {strength}; it must be from 0 to 1")
        self.cameras[camera] = replace(self.cameras[camera], strength=strength)

    def become(self, camera: str, state: State, said: str) -> None:
        """The figures of a camera are those of that state."""
        self.cameras[camera] = replace(self.cameras[camera], state=state, said=said)


def shown(camera: str, number: int, rainy: Pixels, restored: Pixels) -> Shown:
    """A frame with its number burned into both halves, a red foot as it came and a green one restored."""
    now = time.monotonic()
    for pixels, foot in ((rainy, RED), (restored, GREEN)):
        burn(pixels, mark_at(number, now))
        pixels[-len(pixels) // 8 :] = foot
    taken = Taken(Frame(rainy, number, Fraction(1, 25)), number, 0, now)
    attention = np.zeros((rainy.shape[0] // 4, rainy.shape[1] // 4), np.float32)
    attention[:, : attention.shape[1] // 2] = 1
    return Shown(camera, taken, restored, attention, 0.4, now)


def plain(camera: str, number: int, size: tuple[int, int] = SIZE) -> Shown:
    """Such a frame of grey."""
    width, height = size
    rainy, restored = (np.full((height, width, 3), grey, np.uint8) for grey in (150, 110))
    return shown(camera, number, rainy, restored)


class FakeCamera:
    """Shows frames of the test pattern on `sink` until it is stopped."""

    def __init__(self, sink: OpenedWeb, name: str, rate: float, size: tuple[int, int] = SIZE) -> None:
        self.number = 0
        self._sink, self._name, self._rate = sink, name, rate
        self._scenery = Scenery(size, Fraction(25))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(1 / self._rate):
            rainy, clean = self._scenery.rainy(self.number), self._scenery.clean(self.number)
            self._sink.show(shown(self._name, self.number, rainy, clean))
            self.number += 1

    def stop(self) -> None:
        """Shows no more."""
        self._over.set()
        self._thread.join()


@contextmanager
def serving(
    cameras: Sequence[str] = ("front",), token: str = "", backend: str = "openvino", names: Sequence[str] = ()
) -> Iterator[tuple[OpenedWeb, FakeControl]]:
    """A page at a free port of loopback, with cameras that are live and show nothing yet."""
    control = FakeControl(cameras, backend)
    sink = open_web("127.0.0.1", 0, token, control, cameras, names)
    try:
        for camera in cameras:
            sink.away(camera, State.LIVE, "")
        yield sink, control
    finally:
        sink.close()


@contextmanager
def filming(
    sink: OpenedWeb, names: Sequence[str], rate: float, size: tuple[int, int] = SIZE
) -> Iterator[list[FakeCamera]]:
    """Cameras with those names at work."""
    cameras = [FakeCamera(sink, name, rate, size) for name in names]
    try:
        yield cameras
    finally:
        for camera in cameras:
            camera.stop()
