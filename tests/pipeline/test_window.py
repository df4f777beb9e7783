"""The window: what it shows and what its keys do, without one; where there is a display, with one too."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_outputs import numbers, shown

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.live.seam import CameraFigures, Control, Figures, State, Track
from derain.pipeline.sinks.view import HELP, View, compose, pressed
from derain.pipeline.sinks.window import WindowSink, open_window, why_no_window


def no_tracks(camera: str) -> Sequence[Track]:
    return ()


def test_the_picture_is_rainy_up_to_the_split_and_restored_behind_it() -> None:
    one = shown(3, size=(100, 40))
    one.restored[:] = 200
    picture = compose(one, View(split=0.3))
    assert np.array_equal(picture[:, :29], one.taken.frame.pixels[:, :29])
    assert (picture[:, 29:31] == 255).all()
    assert (picture[:, 31:] == 200).all()
    assert np.array_equal(compose(one, View(split=0.0)), one.restored)
    assert np.array_equal(compose(one, View(split=1.7)), one.taken.frame.pixels)


def test_side_by_side_attention_and_sixteen_bits() -> None:
    one = shown(3)
    both = compose(one, View(side_by_side=True))
    assert np.array_equal(both, np.concatenate((one.taken.frame.pixels, one.restored), axis=1))
    seen = replace(one, attention=np.array([[0, 1], [0, 0]], np.float32))
    overlay = compose(seen, View(split=0, attention=True))
    assert overlay[5, 60, 0] > overlay[5, 5, 0] + 60, "bright where the network saw rain"
    assert np.array_equal(compose(one, View(split=0, attention=True)), one.restored), "it tells nothing"
    deep = replace(one, restored=one.restored.astype(np.uint16) * 257)
    assert np.array_equal(compose(deep, View(split=0)), one.restored)


def test_words_stand_at_the_foot_and_the_frame_is_left_as_it_is() -> None:
    one = shown(3, size=(320, 240))
    before = one.restored.copy()
    plain, told = compose(one, View(split=0)), compose(one, View(split=0), "front - paused")
    helped = compose(one, View(split=0, help=True), "front")
    assert np.array_equal(one.restored, before)
    assert np.array_equal(plain[:200], told[:200])
    assert not np.array_equal(plain[-20:], told[-20:])
    assert not np.array_equal(plain[240 - 22 * len(HELP) :][:20], helped[240 - 22 * len(HELP) :][:20])


@pytest.mark.parametrize(
    ("key", "changed", "action"),
    [
        (" ", {"paused": True}, None),
        ("b", {"side_by_side": True}, None),
        ("a", {"attention": True}, None),
        ("h", {"help": True}, None),
        ("s", {}, "snapshot"),
        ("r", {}, "record"),
        ("+", {}, "stronger"),
        ("-", {}, "weaker"),
        ("\t", {}, "next"),
        ("\x1b", {}, "close"),
        ("q", {}, "close"),
        ("x", {}, None),
    ],
)
def test_keys(key: str, changed: dict[str, bool], action: str | None) -> None:
    view, wanted = pressed(View(), ord(key))
    assert (view, wanted) == (View(**changed), action)
    assert pressed(view, -1) == (view, None)
    if changed:
        assert pressed(view, ord(key))[0] == View(), "the same key takes it back"


class FakeScreen:
    """A window that a test types into."""

    def __init__(self) -> None:
        self.pictures: list[Pixels] = []
        self.typed: list[int] = []
        self.moved: Callable[[int], None] = lambda column: None
        self.visible, self.closed = True, False
        self.fails: Exception | None = None

    def open(self, moved: Callable[[int], None]) -> None:
        self.moved = moved

    def show(self, picture: Pixels) -> None:
        if self.fails:
            raise self.fails
        self.pictures.append(picture)

    def key(self) -> int:
        time.sleep(0.005)
        return self.typed.pop(0) if self.typed else -1

    def is_open(self) -> bool:
        return self.visible

    def close(self) -> None:
        self.closed = True


class FakeControl(Control):
    def __init__(self) -> None:
        self.strengths = {"front": 1.0, "back": 1.0}

    def figures(self) -> Figures:
        cameras = [
            CameraFigures(name, name, State.LIVE, "", strength=strength)
            for name, strength in self.strengths.items()
        ]
        return Figures(tuple(cameras), "", "", "", 0.0, 0)

    def set_strength(self, camera: str, strength: float) -> None:
        self.strengths[camera] = strength


class Desk:
    """A window with a screen and a control that obey."""

    def __init__(self, folder: Path) -> None:
        self.screen, self.control, self.left = FakeScreen(), FakeControl(), 0
        self.folder = folder
        self.sink = WindowSink(["front", "back"], self.control, no_tracks, folder, self.screen, self.leave)

    def leave(self) -> None:
        self.left += 1

    def wait(self, done: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 10
        while not done():
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.01)

    def type(self, keys: str) -> None:
        self.screen.typed += [ord(key) for key in keys]
        self.wait(lambda: not self.screen.typed)

    def picture_of(self, number: int, **what: Any) -> None:
        """Shows a frame and waits for the picture that it makes."""
        count = len(self.screen.pictures)
        self.sink.show(shown(number, size=(320, 240), **what))
        self.wait(lambda: len(self.screen.pictures) > count)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "kept")
    yield made
    made.sink.close()
    assert made.screen.closed


def test_the_split_follows_the_mouse(desk: Desk) -> None:
    desk.picture_of(3)
    desk.screen.moved(80)
    desk.wait(lambda: desk.screen.pictures[-1][20, 79:81].min() == 255)


def test_pause_holds_the_picture_and_tab_goes_to_the_next_camera(desk: Desk) -> None:
    desk.picture_of(3)
    desk.type(" ")
    desk.wait(lambda: len(desk.screen.pictures) >= 2)
    held = desk.screen.pictures[-1].copy()
    desk.sink.show(shown(9, size=(320, 240)))
    time.sleep(0.1)
    assert np.array_equal(desk.screen.pictures[-1][:180], held[:180])
    desk.sink.show(shown(15, size=(320, 240), camera="back"))
    desk.type("\t ")
    level = shown(15).taken.frame.pixels[0, 0, 0]
    desk.wait(lambda: desk.screen.pictures[-1][100, 100, 0] == level)


def test_keys_for_strength_snapshot_and_record(desk: Desk) -> None:
    desk.picture_of(3)
    desk.type("---+")
    desk.wait(lambda: desk.control.strengths == {"front": 0.8, "back": 1.0})
    desk.type("s")
    desk.wait(lambda: len(list(desk.folder.glob("*.png"))) == 2)
    rainy, restored = sorted(desk.folder.glob("front-*.png"))
    assert np.array_equal(np.asarray(cv2.imread(str(rainy))), shown(3, size=(320, 240)).taken.frame.pixels)
    assert np.array_equal(np.asarray(cv2.imread(str(restored))), shown(3, size=(320, 240)).restored)
    desk.type("r")
    for number in range(5):
        desk.picture_of(number)
        time.sleep(0.05)
    desk.type("r")
    desk.wait(lambda: len(list(desk.folder.rglob("*.mkv"))) == 1)
    desk.sink.close()
    (file,) = desk.folder.rglob("*.mkv")
    assert numbers(file)


def test_closing_the_window_leaves_and_the_run_goes_on_being_shown_to_nobody(desk: Desk) -> None:
    desk.picture_of(3)
    desk.screen.visible = False
    desk.wait(lambda: desk.screen.closed)
    assert desk.left == 1
    desk.sink.show(shown(4))


def test_a_window_that_fails_says_so_at_the_next_frame(desk: Desk) -> None:
    desk.screen.fails = cv2.error("no more windows")
    desk.sink.show(shown(1))
    desk.wait(lambda: desk.screen.closed)
    with pytest.raises(DerainError, match="the window failed: no more windows"):
        desk.sink.show(shown(2))


def test_where_there_is_no_window_a_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    assert "pip install --force-reinstall opencv-python" in why_no_window()
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="there is no display for a window; start it on a desktop"):
        open_window(["front"], FakeControl(), no_tracks, tmp_path)
    monkeypatch.setenv("DISPLAY", ":9876")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *a, **k: subprocess.CompletedProcess(a, -6, b"", b"could not connect"),
    )
    assert "the display :9876 takes no window" in why_no_window()


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="there is no display")
def test_a_real_window_shows_frames(tmp_path: Path) -> None:
    sink = open_window(["front"], FakeControl(), no_tracks, tmp_path)
    for number in range(10):
        sink.show(shown(number))
        time.sleep(0.04)
    assert sink._error is None
    sink.close()
