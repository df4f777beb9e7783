"""Webcams, as far as can be tested without one: OpenCV reads a file in its place, and names are links."""

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_sources import watched

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.live.seam import State
from derain.pipeline.sources import webcam
from derain.pipeline.sources.telling import Facts, Opened, Task, Why

DEVICE = "/dev/video0"


class Kept:
    """Keeps what a reader gives."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.told: list[Opened] = []
        self.notes: list[str] = []
        self.frames: list[tuple[Pixels, Facts]] = []

    def opened(self, opened: Opened) -> None:
        self.told.append(opened)

    def noted(self, text: str) -> None:
        self.notes.append(text)

    def frame(self, pixels: Pixels, facts: Facts) -> None:
        self.frames.append((pixels, facts))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Red pictures, then blue ones, as OpenCV writes them."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (64, 48))
    for colour in ((0, 0, 255), (0, 0, 255), (255, 0, 0)):
        writer.write(np.full((48, 64, 3), colour, np.uint8))
    writer.release()
    return path


def taken(camera: Any, **options: Any) -> tuple[Kept, Any]:
    kept: Any = Kept()
    task = Task(parse_address(DEVICE), SourceOptions(**options), False, "")
    return kept, webcam.take(camera, task, kept, "/dev/v4l/by-id/usb-cam")


def test_pictures_come_as_rgb_with_what_the_camera_gives_beside_what_was_asked_for(film: Path) -> None:
    camera = cv2.VideoCapture(str(film))
    kept, over = taken(camera, size=(640, 480), rate=Fraction(30), fourcc="YUYV")
    camera.release()
    assert over.why is Why.LOST and "unplugged" in over.text
    assert [pixels[5, 5].argmax() for pixels, _ in kept.frames] == [0, 0, 2]
    (opened,) = kept.told
    assert (opened.info.width, opened.info.height, opened.info.average_rate) == (64, 48, Fraction(20))
    assert opened.device == "/dev/v4l/by-id/usb-cam"
    assert kept.notes == [
        "the camera was asked for 640x480, 30 frames a second, YUYV and gives 64x48, 20 frames a second, MJPG"
    ]
    times = [facts.pts for _, facts in kept.frames if facts.pts is not None]
    assert times[0] == 0 and len(times) == 3 and times == sorted(set(times))


def test_a_camera_that_gives_what_was_asked_for_needs_no_note(film: Path) -> None:
    camera = cv2.VideoCapture(str(film))
    kept, _ = taken(camera, size=(64, 48), rate=Fraction(20), fourcc="mjpg")
    camera.release()
    assert kept.notes == [""]


def test_a_camera_is_found_again_by_its_own_name_then_by_its_socket(tmp_path: Path) -> None:
    device = tmp_path / "video3"
    device.touch()
    names = tmp_path / "v4l"
    for folder, name in (("by-path", "pci-usb-0:1"), ("by-id", "usb-cam")):
        (names / folder).mkdir(parents=True)
        assert webcam.lasting_name(str(device), names, devices=str(tmp_path)) == (
            str(device) if folder == "by-path" else str(names / "by-path" / "pci-usb-0:1")
        )
        (names / folder / name).symlink_to(device)
    assert webcam.lasting_name(str(device), names, devices=str(tmp_path)) == str(names / "by-id" / "usb-cam")
    assert webcam.lasting_name("0", names) == "0"


def test_a_camera_that_is_not_there_or_not_ours_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DerainError, match=r"there is no camera /dev/video97 \(cameras here: "):
        webcam.open_camera("/dev/video97", SourceOptions())
    device = tmp_path / "video0"
    device.touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may open everything
    with pytest.raises(DerainError, match="add yourself to its group"):
        webcam.open_camera(str(device), SourceOptions())


def test_what_is_no_camera_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    device = tmp_path / "video0"
    device.touch()
    with pytest.raises(DerainError, match="another program uses it"):
        webcam.open_camera(str(device), SourceOptions(size=(640, 480)))


def test_what_is_asked_for_is_asked_in_opencvs_order() -> None:
    asked = webcam.wanted(SourceOptions(size=(640, 480), rate=Fraction(30), fourcc="MJPG"))
    assert [name for name, _ in asked] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    ]
    assert webcam.fourcc_of(asked[0][1]) == "MJPG"
    assert webcam.fourcc_of(0.0) == webcam.fourcc_of(-1.0) == ""


def test_a_camera_that_is_not_there_is_looked_for_again_and_again() -> None:
    with watched("/dev/video97") as eye:
        eye.state(State.AWAY)
        assert eye.source.said.startswith("there is no camera /dev/video97")
