"""A camera that other programs take for a real one: v4l2loopback on Linux, OBS on Windows and macOS."""

import importlib
from typing import Any, Protocol

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.pipeline.live.seam import Packet, Shown, State
from derain.pipeline.live.treatment import in_eight_bits
from derain.pipeline.sinks.coder import fitted
from derain.pipeline.sinks.own_thread import OwnThread

RATE = 25.0
SIZE = (1280, 720)
INSTALL = 'pip install "derain[virtual]"'


class Device(Protocol):
    """What pyvirtualcam.Camera can do."""

    device: str

    def send(self, frame: Pixels) -> None: ...

    def close(self) -> None: ...


class Virtual:
    """The work of feeding a virtual camera. It has one size for good, into which pictures are fitted."""

    def __init__(self, device: Device, size: tuple[int, int]) -> None:
        self._device, self._size = device, size

    def frame(self, shown: Shown) -> None:
        """Sends it."""
        self._device.send(fitted(in_eight_bits(shown.restored), self._size))

    def packet(self, packet: Packet) -> None:
        """A camera has no sound."""

    def state(self, state: State, said: str) -> None:
        """The last picture stays."""

    def tick(self) -> None:
        """Nothing is due."""

    def end(self) -> None:
        """Ends it."""
        self._device.close()


def load() -> Any:
    """The library; raises UsageError where it is not installed."""
    try:
        return importlib.import_module("pyvirtualcam")
    except ImportError as error:
        raise UsageError(f"a virtual camera needs pyvirtualcam: {INSTALL}") from error


def open_virtual(
    camera: str, size: tuple[int, int] = SIZE, device: str | None = None, rate: float = RATE
) -> OwnThread:
    """Feeds the virtual camera `device`, None for the first, with `camera`. Raises UsageError where there is
    none."""
    library = load()
    try:
        opened = library.Camera(*size, rate, device=device, fmt=library.PixelFormat.RGB)
    except (RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"no virtual camera can be opened ({first_line(error)}); on Linux: sudo modprobe v4l2loopback "
            "exclusive_caps=1, on Windows and macOS: install OBS and start its virtual camera once"
        ) from error
    return OwnThread(f"the virtual camera {opened.device}", camera, Virtual(opened, size))


def first_line(error: Exception) -> str:
    """Its own words, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".:")
