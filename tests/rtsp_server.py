"""GStreamer's RTSP server as a process of its own, which tests may freeze, stop, kill and start again."""

import functools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PYTHON = "/usr/bin/python3"
"""The system's, for which Debian packages the bindings."""
PROGRAM = Path(__file__).with_name("rtsp_program.py")
NEEDS = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    "Gst.init(None); wanted = ('x264enc', 'jpegenc', 'rtph264pay', 'alawenc', 'videotestsrc'); "
    "missing = [name for name in wanted if not Gst.ElementFactory.find(name)]; assert not missing, missing"
)
PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base -good -bad -ugly gstreamer1.0-libav"
)
TINY = {"width": 160, "height": 120, "rate": 15, "codec": "h264"}


class Camera:
    """A camera that speaks RTSP; what it is like is told as `rtsp_program` says."""

    def __init__(self, **wanted: Any) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.start(**wanted)

    def start(self, **wanted: Any) -> None:
        """Begins, on the port it had before where it had one."""
        told = json.dumps({**TINY, "port": self.port, **wanted})
        self._process = subprocess.Popen(
            [PYTHON, "-W", "ignore", str(PROGRAM), told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        assert words[:1] == ["ready"], "the RTSP server did not start"
        self.port = int(words[1])

    def url(self, path: str = "/live", user: str = "") -> str:
        """Its address; `user`: "name:password"."""
        return f"rtsp://{user}{'@' if user else ''}127.0.0.1:{self.port}{path}"

    def say(self, command: str) -> None:
        """ "freeze" or "thaw"."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def hang(self, still: bool = True) -> None:
        """Stops it in the middle of whatever it does, its connections open; or lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    def kill(self) -> None:
        """Ends it as a power cut would. A second call does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@functools.cache
def what_is_missing() -> str:
    """What the server lacks here; "" for nothing."""
    try:
        done = subprocess.run(
            [PYTHON, "-W", "ignore", "-c", NEEDS], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


@contextmanager
def camera(**wanted: Any) -> Iterator[Camera]:
    """A camera on a free port, ended afterwards; skips the test where there is none, fails where one was
    promised."""
    missing = what_is_missing()
    if missing:
        reason = f"no RTSP server here ({missing}); apt install {PACKAGES}"
        if os.environ.get("DERAIN_EXPECT_RTSP"):
            pytest.fail(f"DERAIN_EXPECT_RTSP is set, but there is {reason}")
        pytest.skip(reason)
    one = Camera(**wanted)
    try:
        yield one
    finally:
        one.kill()
