"""A window on the desktop, by OpenCV: before and after in one picture, divided where the mouse is."""

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.live.seam import Control, Packet, Shown, State
from derain.pipeline.sinks.own_thread import OwnThread
from derain.pipeline.sinks.recording import Recording, TracksOf, open_recording, safe_name
from derain.pipeline.sinks.retention import new_name
from derain.pipeline.sinks.view import STEP, Action, View, compose, pressed

TITLE = "derain"
TRIAL = "import cv2; cv2.namedWindow('derain'); cv2.waitKey(1); cv2.destroyAllWindows()"
TRIAL_SECONDS = 20.0
WAIT = 15
"""Milliseconds that a key is waited for, between two looks for a frame."""
WIDEST = 1600
CLOSING = 4.5

log = logging.getLogger(__name__)


class Screen(Protocol):
    """What a window can do, called from one thread."""

    def open(self, moved: Callable[[int], None]) -> None:
        """Makes it; `moved` is called with the column that the mouse is at."""
        ...

    def show(self, picture: Pixels) -> None: ...

    def key(self) -> int:
        """Waits a moment for a key; -1 for none."""
        ...

    def is_open(self) -> bool: ...

    def close(self) -> None: ...


class CvScreen:
    """OpenCV's window, as large as the picture where that fits."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()

    def open(self, moved: Callable[[int], None]) -> None:
        """See Screen."""
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # it warns of fonts that nobody asks for
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(TITLE, lambda event, x, y, flags, data: moved(x))

    def show(self, picture: Pixels) -> None:
        """See Screen."""
        if picture.shape != self._shape:
            self._shape = picture.shape
            scale = min(1.0, WIDEST / picture.shape[1])
            cv2.resizeWindow(TITLE, round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        cv2.imshow(TITLE, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def key(self) -> int:
        """See Screen."""
        return int(cv2.waitKey(WAIT))

    def is_open(self) -> bool:
        """See Screen."""
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """See Screen."""
        with suppress(cv2.error):  # the user has closed it
            cv2.destroyWindow(TITLE)


class WindowSink:
    """See `live.seam.LiveSink`. One window; a key goes from camera to camera. Snapshots and recordings go
    into `folder`. `leave`: what is done when the user closes the window."""

    def __init__(
        self,
        cameras: Sequence[str],
        control: Control,
        tracks: TracksOf,
        folder: Path,
        screen: Screen,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        self._cameras, self._control, self._tracks = list(cameras), control, tracks
        self._folder, self._screen, self._leave = folder, screen, leave
        self._camera = self._cameras[0]
        self._view, self._width = View(), 0
        self._newest: dict[str, Shown] = {}
        self._states: dict[str, tuple[State, str]] = {}
        self._recording: OwnThread | None = None
        self._said = "h: help"
        self._drawn: object = None
        self._over = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="derain-window", daemon=True)
        self._thread.start()

    def show(self, shown: Shown) -> None:
        """Takes the newest frame; raises what the window failed with, if it did."""
        if self._error is not None:
            raise DerainError(f"the window failed: {self._error}") from self._error
        self._newest[shown.camera] = shown
        recording = self._recording
        if recording is not None:
            recording.show(shown)

    def away(self, camera: str, state: State, said: str) -> None:
        """Takes the state, which is told at the foot."""
        self._states[camera] = state, said

    def packet(self, camera: str, packet: Packet) -> None:
        """For a recording."""
        recording = self._recording
        if recording is not None:
            recording.packet(camera, packet)

    def close(self) -> None:
        """Closes the window. Idempotent."""
        self._over.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSING)

    def _run(self) -> None:
        try:
            self._screen.open(self._moved)
            self._live()
        except (cv2.error, OSError, DerainError) as error:
            self._error = error
        if self._recording is not None:
            self._recording.close()
        self._screen.close()

    def _live(self) -> None:
        opened = False
        frame = None
        while not self._over.is_set():
            if not self._view.paused or frame is None or frame.camera != self._camera:
                frame = self._newest.get(self._camera)
            if frame is not None:
                self._draw(frame)
            self._do(self._screen.key(), frame)
            visible = self._screen.is_open()
            if opened and not visible and not self._over.is_set():
                self._over.set()
                self._leave()
            opened = opened or visible

    def _draw(self, frame: Shown) -> None:
        words = self._words(frame)
        now = (id(frame), self._view, words)
        if now != self._drawn:
            self._drawn = now
            picture = compose(frame, self._view, words)
            self._width = picture.shape[1]
            self._screen.show(picture)

    def _words(self, frame: Shown) -> str:
        """The row at the foot: the camera, how it is, what was done last."""
        state, _ = self._states.get(self._camera, (State.LIVE, ""))
        parts = [self._camera, "" if state is State.LIVE else state.value]
        parts += ["paused" if self._view.paused else "", "recording" if self._recording else ""]
        parts += [frame.steps, self._said]
        return " - ".join(part for part in parts if part)

    def _moved(self, column: int) -> None:
        if self._width and not self._view.side_by_side:
            self._view = replace(self._view, split=min(1.0, max(0.0, column / self._width)))

    def _do(self, key: int, frame: Shown | None) -> None:
        self._view, action = pressed(self._view, key)
        if action is None:
            return
        try:
            self._act(action, frame)
        except (OSError, DerainError) as error:
            self._said = str(error)

    def _act(self, action: Action, frame: Shown | None) -> None:
        if action == "snapshot" and frame is not None:
            self._said = f"wrote {snapshot(frame, self._folder)}"
        elif action == "record":
            self._record()
        elif action == "next":
            self._camera = self._cameras[(self._cameras.index(self._camera) + 1) % len(self._cameras)]
        elif action in ("stronger", "weaker"):
            self._strengthen(STEP if action == "stronger" else -STEP)
        elif action == "close":
            self._over.set()
            self._leave()

    def _record(self) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()
            self._said = f"recorded into {self._folder}"
        else:
            self._recording = open_recording(Recording(self._folder), self._camera, self._tracks)

    def _strengthen(self, step: float) -> None:
        now = next(c.strength for c in self._control.figures().cameras if c.name == self._camera)
        strength = round(min(1.0, max(0.0, now + step)), 2)
        self._control.set_strength(self._camera, strength)
        self._said = f"strength {strength:g}"


def snapshot(shown: Shown, folder: Path) -> str:
    """Writes both pictures of a frame as PNG; gives the name of the restored one."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{safe_name(shown.camera)}-{new_name(folder, time.time())}"
    for kind, pixels in (("rainy", shown.taken.frame.pixels), ("restored", shown.restored)):
        done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        if not done:
            raise DerainError("the picture can't be written as PNG")
        (folder / f"{name}-{kind}.png").write_bytes(np.asarray(data).tobytes())
    return f"{name}-restored.png"


def why_no_window() -> str:
    """Why no window can be opened here, in a sentence; "" where one can."""
    gui = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if gui is not None and gui[1] == "NONE":
        return (
            "this OpenCV was built without windows; pip uninstall opencv-python-headless, then "
            "pip install --force-reinstall opencv-python, or look at it in a browser with --web"
        )
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display for a window; start it on a desktop or by ssh -X, or use --web"
    return try_window()


def try_window() -> str:
    """Opens one in a process of its own: where its display can't be reached, Qt ends the whole process."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL], capture_output=True, timeout=TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "a window does not open here, though there is a display; use --web"
    if done.returncode == 0:
        return ""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "there is"
    return f"the display {display} takes no window; start it on a desktop or by ssh -X, or use --web"


def open_window(
    cameras: Sequence[str],
    control: Control,
    tracks: TracksOf,
    folder: Path,
    leave: Callable[[], None] = lambda: None,
) -> WindowSink:
    """A window for all of `cameras`. Raises UsageError where there can't be one."""
    why = why_no_window()
    if why:
        raise UsageError(why)
    return WindowSink(cameras, control, tracks, folder, CvScreen(), leave)
