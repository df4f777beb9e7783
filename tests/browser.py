"""A real browser without a window, driven through the W3C WebDriver protocol of chromedriver."""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""What the protocol calls a reference to an element."""
ENTER = "\ue007"
STARTED = re.compile(r"started successfully on port (\d+)")


class Browser:
    """One window. Every call waits until it is done, and raises AssertionError where the browser can't."""

    def __init__(self, port: int, chromium: str, folder: Path) -> None:
        self._root = f"http://127.0.0.1:{port}"
        options = {"binary": chromium, "args": [*QUIET, f"--user-data-dir={folder}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._root += f"/session/{session['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.read().decode()}") from error

    def open(self, address: str) -> None:
        """Loads a page, anew even where only what follows its # changes."""
        self._call("POST", "/url", {"url": "about:blank"})
        self._call("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script, the body of a function, returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": arguments})

    def _find(self, selector: str) -> str:
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def click(self, selector: str) -> None:
        """As a mouse does: on what is really there, scrolled into view."""
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def press(self, selector: str, keys: str) -> None:
        """Keys on an element that has the focus then."""
        self._call("POST", f"/element/{self._find(selector)}/value", {"text": keys})

    def emulate(self, scheme: str) -> None:
        """prefers-color-scheme: "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        """The page's room, in pixels of CSS; on a `phone` it has touch, and no pointer that hovers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self.devtools("Emulation.setTouchEmulationEnabled", enabled=phone)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """What a command of Chromium's own protocol gives."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self) -> bytes:
        """What is seen, as a PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))

    def wait(self, script: str, *arguments: Any, seconds: float = 20) -> Any:
        """What a script returns, run again until that is something."""
        until = time.monotonic() + seconds
        while not (found := self.run(script, *arguments)):
            assert time.monotonic() < until, f"{script} gave {found!r} for {seconds} s"
            time.sleep(0.1)
        return found

    def complaints(self) -> list[str]:
        """What the page wrote to the console since the last call: errors, and what its policy forbade."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def windows(self) -> list[str]:
        """All there are."""
        return list(self._call("GET", "/window/handles"))

    def new_window(self) -> str:
        """One more, beside the others, so that it is seen too."""
        return str(self._call("POST", "/window/new", {"type": "window"})["handle"])

    def switch_to(self, window: str) -> None:
        """What follows is of this window."""
        self._call("POST", "/window", {"handle": window})

    def close_window(self) -> None:
        """This one; another one is to be switched to."""
        self._call("DELETE", "/window")

    def close(self) -> None:
        """Ends the browser."""
        self._call("DELETE", "")


def find_browser() -> tuple[str, str]:
    """(browser, driver); skips the test where there are none, fails where one was promised."""
    driver = shutil.which("chromedriver")
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if driver is None or chromium is None:
        reason = "no chromium and chromedriver on the PATH"
        if os.environ.get("DERAIN_EXPECT_BROWSER"):
            pytest.fail(f"DERAIN_EXPECT_BROWSER is set, but there is {reason}")
        pytest.skip(reason)
    return chromium, driver


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, ended and forgotten afterwards."""
    chromium, driver = find_browser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, started(driver) as port:
        window = Browser(port, chromium, Path(folder))
        try:
            yield window
        finally:
            window.close()


def unhurried() -> list[str]:
    """What to run Chromium by, so that none of its threads runs in real time: as root it makes such ones for
    sound and video, and one that spins without a sound card leaves nothing of two cores for anybody."""
    if os.geteuid() or shutil.which("setpriv") is None:
        return []
    return ["setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice"]


@contextmanager
def started(driver: str, arguments: Sequence[str] = ("--port=0",)) -> Iterator[int]:
    """chromedriver, and the port it listens on."""
    command = [*unhurried(), driver, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        found = next(filter(None, map(STARTED.search, process.stdout)), None)
        assert found, "chromedriver did not start"
        yield int(found[1])
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
