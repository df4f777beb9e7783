"""The virtual camera, with a stand-in for the library: none is here."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from live_outputs import shown

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.pipeline.sinks.virtual import open_virtual


class FakeCamera:
    """Takes what pyvirtualcam.Camera takes, and refuses what that refuses."""

    def __init__(self, width: int, height: int, fps: float, *, fmt: object, device: str | None) -> None:
        if device == "/dev/video9":
            raise RuntimeError("'v4l2loopback' backend: no device\nmore of it")
        self.size, self.device, self.fmt = (height, width, 3), device or "/dev/video0", fmt
        self.sent: list[Pixels] = []
        self.closed = False

    def send(self, frame: Pixels) -> None:
        if frame.shape != self.size:
            raise ValueError("unexpected frame shape")
        self.sent.append(frame)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[FakeCamera]:
    made: list[FakeCamera] = []

    def make(*arguments: Any, **options: Any) -> FakeCamera:
        made.append(FakeCamera(*arguments, **options))
        return made[-1]

    library = SimpleNamespace(Camera=make, PixelFormat=SimpleNamespace(RGB="rgb"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", library)
    return made


def test_pictures_of_any_size_reach_it(cameras: list[FakeCamera]) -> None:
    sink = open_virtual("front", (160, 90))
    sink.show(shown(3))
    sink.close()
    (camera,) = cameras
    assert camera.fmt == "rgb"
    assert [frame.shape for frame in camera.sent] == [(90, 160, 3)]
    assert camera.closed


def test_what_is_missing_is_told(cameras: list[FakeCamera], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"\('v4l2loopback' backend: no device\); on Linux: sudo modprobe"):
        open_virtual("front", device="/dev/video9")
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(UsageError, match=r"needs pyvirtualcam: pip install \"derain\[virtual\]\""):
        open_virtual("front")
