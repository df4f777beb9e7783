"""The page in a real browser: what a person sees, moves, saves and is told."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from browser import Browser, browser
from web_camera import GREEN, RED, SIZE, TOKEN, FakeControl, filming, plain, serving
from web_viewer import decoded

from derain.engines.engine import Pixels
from derain.pipeline.live.seam import State
from derain.pipeline.sinks.web import film
from derain.pipeline.sinks.web.opening import OpenedWeb, open_web
from derain.pipeline.sources.marks import read

RATE = 8
ESCAPE, LEFT, RIGHT, HOME, END = "\ue00c", "\ue012", "\ue014", "\ue011", "\ue010"
NAMED = ("button", "slider", "radio", "image", "heading", "group", "region")
"""Roles of which each one must have a name for those who don't see it."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browser() as found:
        yield found


@pytest.fixture
def window(chromium: Browser) -> Browser:
    """Its window, empty, and what the last page said forgotten."""
    chromium.open("about:blank")
    chromium.complaints()
    return chromium


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no video: pages get single pictures."""
    monkeypatch.setattr("derain.pipeline.sinks.web.calls.why_not", lambda: "not here")


def seen(window: Browser, selector: str = "#canvas") -> Pixels:
    """What is on a canvas."""
    url = window.run("return document.querySelector(arguments[0]).toDataURL('image/png')", selector)
    return decoded(base64.b64decode(url.partition(",")[2]))


def numbers(picture: Pixels) -> list[int | None]:
    """Of the frames that the two halves of a picture show."""
    marks = [read(picture, half) for half in ("left", "right")]
    return [None if mark is None else mark.number for mark in marks]


def near(picture: Pixels, x: int, colour: tuple[int, int, int], levels: int = 40) -> bool:
    """Whether the foot of the picture has that colour there, give or take `levels`."""
    return bool(abs(picture[-8, x].astype(int) - colour).max() < levels)


def opened(window: Browser, sink: OpenedWeb, fragment: str = "") -> None:
    """The page, with pictures on it."""
    window.open(sink.url + fragment)
    window.wait("return document.querySelector('.tile:not(.empty)') || document.querySelector('[data-by]')")


def text(window: Browser, selector: str) -> str:
    """Of an element."""
    return str(window.run("return document.querySelector(arguments[0]).textContent", selector))


def move(window: Browser, kind: str, share: float) -> None:
    """The mouse, to a share of the picture's width."""
    box = window.run("const b = document.getElementById('picture').getBoundingClientRect();"
                     "return [b.left, b.top, b.width, b.height]")  # fmt: skip
    place = {"x": box[0] + share * box[2], "y": box[1] + box[3] / 2}
    window.devtools("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place)


@pytest.mark.usefixtures("still")
def test_all_cameras_move_and_nothing_complains(window: Browser) -> None:
    with serving(("front", "yard")) as (sink, _), filming(sink, ["front", "yard"], RATE):
        opened(window, sink)
        window.wait("return !document.querySelector('.tile.empty')")
        for camera in ("front", "yard"):
            before = numbers(seen(window, f".tile[data-camera={camera}] canvas"))
            assert before[0] is not None and before[0] == before[1]
            until = time.monotonic() + 20
            while (now := numbers(seen(window, f".tile[data-camera={camera}] canvas"))) == before:
                assert time.monotonic() < until
            assert now[0] == now[1]
        assert "realtime-s, openvino, int8" in window.wait(
            "return document.getElementById('engine').textContent"
        )
        assert window.complaints() == []


@pytest.mark.usefixtures("still")
def test_the_divider_is_dragged_over_the_live_picture(window: Browser) -> None:
    """Both halves are of one frame at every moment, as it came to its left and restored to its right."""
    with serving() as (sink, _), filming(sink, ["front"], RATE):
        opened(window, sink)
        window.wait("return document.getElementById('transport').textContent === 'over WebSocket'")
        found = set()
        for share in (0.5, 0.45, 0.55, 0.5):
            move(window, "mousePressed", 0.3)
            move(window, "mouseMoved", share)
            said = str(round(100 * share))
            window.wait("return document.getElementById('handle').ariaValueNow === arguments[0]", said)
            picture = seen(window)
            assert near(picture, round(SIZE[0] * share) - 6, RED)
            assert near(picture, round(SIZE[0] * share) + 6, GREEN)
            if share == 0.5:
                found.add(tuple(numbers(picture)))
            move(window, "mouseReleased", share)
        move(window, "mouseMoved", 0.9)
        assert window.run("return document.getElementById('handle').ariaValueNow") == "50"
        for _ in range(8):
            found.add(tuple(numbers(seen(window))))
            time.sleep(1 / RATE)
        assert len(found) > 3 and all(left is not None and left == right for left, right in found)
        assert window.complaints() == []


@pytest.mark.usefixtures("still")
def test_all_of_it_goes_by_keys(window: Browser) -> None:
    with serving(("front", "yard")) as (sink, _), filming(sink, ["front", "yard"], RATE):
        opened(window, sink)
        window.press("body", "2")
        window.wait("return document.getElementById('name').textContent === 'yard'")
        assert window.run("return document.activeElement.id") == "name"
        window.press("#handle", LEFT + LEFT)
        assert window.run("return document.getElementById('handle').ariaValueNow") == "46"
        window.press("#handle", END)
        window.wait("return document.getElementById('handle').ariaValueNow === '100'")
        assert near(seen(window), SIZE[0] - 8, RED)
        window.press("#handle", HOME + RIGHT)
        assert window.run("return document.getElementById('handle').ariaValueText").startswith("2 percent")
        window.press("#name", " ")
        window.wait("return document.getElementById('freeze').ariaPressed === 'true'")
        time.sleep(0.5)
        frozen = seen(window)
        time.sleep(3 / RATE)
        np.testing.assert_array_equal(seen(window), frozen)
        window.press("#name", " ")
        window.wait("return document.getElementById('freeze').ariaPressed === 'false'")
        window.press("#name", ESCAPE)
        window.wait("return !document.getElementById('all').hidden")
        assert window.run("return document.activeElement.dataset.camera") == "yard"
        assert window.complaints() == []


@pytest.mark.usefixtures("still")
def test_charts_move_and_the_strength_reaches_the_run(window: Browser) -> None:
    with serving() as (sink, control), filming(sink, ["front"], RATE):
        opened(window, sink)
        lines = "return [...document.querySelectorAll('#charts path')].map((one) => one.outerHTML).join()"
        window.wait("return document.querySelectorAll('#charts path[d*=L]').length > 4")
        before = window.run(lines)
        window.wait(f"{lines} !== arguments[0]", before)
        assert "Rain" in window.run("return document.querySelectorAll('#charts svg')[2].ariaLabel")
        window.press("#strength", HOME)
        window.wait("return document.getElementById('strength-told').textContent === '0 %'")
        until = time.monotonic() + 20
        while control.figures().cameras[0].strength > 0:
            assert time.monotonic() < until
        assert window.complaints() == []


@pytest.mark.usefixtures("still")
def test_overlays_are_drawn_over_both_halves(window: Browser) -> None:
    with serving() as (sink, _), filming(sink, ["front"], RATE):
        opened(window, sink)
        window.click("[value=attention]")
        until = time.monotonic() + 20
        while True:
            left, right = (seen(window)[100:120, x : x + 20].mean(axis=(0, 1)) for x in (40, 280))
            if left[0] - left[2] > right[0] - right[2] + 80:
                break
            assert time.monotonic() < until


def test_the_token_is_asked_for_and_leaves_the_address(window: Browser) -> None:
    with serving(token=TOKEN) as (sink, _), filming(sink, ["front"], RATE):
        bare = f"http://127.0.0.1:{sink.port}/"
        window.open(f"{bare}?token=a-wrong-token-for-this-page")
        assert text(window, "h1") == "The token, please"
        window.press("#token", TOKEN + "\ue007")
        window.wait("return document.querySelector('[data-by]')")
        assert window.run("return location.href") == bare
        assert window.run("return document.cookie") == ""
        window.open(bare)
        window.wait("return document.querySelector('[data-by]')")
        refused = "Failed to load resource: the server responded with a status of 401"
        assert [said for said in window.complaints() if refused not in said] == []


@pytest.mark.usefixtures("still")
def test_a_camera_that_goes_away_is_greyed_and_told(window: Browser) -> None:
    with serving() as (sink, _):
        sink.show(plain("front", 1))
        opened(window, sink)
        sink.away("front", State.AWAY, "it refused the connection")
        told = "front is away: it refused the connection."
        window.wait("return document.getElementById('said').textContent === arguments[0]", told)
        assert window.run("return document.getElementById('said').role || document.getElementById('said')"
                          ".getAttribute('role')") == "status"  # fmt: skip
        assert text(window, "#badge") == "away"
        window.wait("return /^no picture for [1-9]/.test(document.getElementById('since').textContent)")
        style = "return getComputedStyle(document.getElementById('canvas')).filter"
        assert window.run(style).startswith("grayscale(1)")
        sink.away("front", State.LIVE, "")
        window.wait("return document.getElementById('since').hidden")
        assert window.run(style) == "none"
        assert text(window, "#said") == "front is live."


@pytest.mark.usefixtures("still")
def test_the_page_comes_back_with_the_server(window: Browser) -> None:
    with serving() as (sink, _):
        sink.show(plain("front", 1))
        opened(window, sink)
        port = sink.port
        sink.close()
        window.wait("return document.getElementById('said').textContent === 'derain has ended'")
        assert not window.run("return document.getElementById('connection').hidden")
    again = open_web("127.0.0.1", port, "", FakeControl(["front"]), ["front"])
    try:
        again.show(plain("front", 2))
        window.wait("return document.getElementById('connection').hidden")
        window.wait("return document.getElementById('badge').textContent === 'opening'")
    finally:
        again.close()
    window.complaints()  # that nobody answered meanwhile


@pytest.mark.usefixtures("still")
def test_a_snapshot_has_both_halves_without_loss_and_a_recording_plays(
    window: Browser, tmp_path: Path
) -> None:
    window.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    with serving() as (sink, _), filming(sink, ["front"], RATE):
        opened(window, sink)
        window.click("#record")
        window.click("#snapshot")
        picture = decoded(wait_for(tmp_path / saved(window, "png")).read_bytes())
        time.sleep(1)
        window.click("#record")
        recording = wait_for(tmp_path / saved(window, "webm|mp4"))
    width, height = SIZE
    assert picture.shape == (height, 2 * width, 3)
    halves = picture[:, :width], picture[:, width:]
    found = [number for half in halves for number in numbers(half)]
    assert found[0] is not None and set(found) == {found[0]}
    assert picture[-8, 160].tolist() == list(RED) and picture[-8, width + 160].tolist() == list(GREEN)
    with av.open(recording) as container:
        frame = np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)
    assert frame.shape == (height, width, 3)
    assert near(frame, 40, RED) and near(frame, width - 40, GREEN)


def saved(window: Browser, ending: str) -> str:
    """The name of a file, once the page tells that it has it."""
    said = "document.getElementById('said').textContent"
    return str(window.wait(f"return /^Saved (.*[.]({ending}))[.]$/.exec({said})?.[1]"))


def wait_for(path: Path) -> Path:
    """A download, once it is whole."""
    until = time.monotonic() + 20
    while not path.exists() or not path.stat().st_size:
        assert time.monotonic() < until, f"there is no {path}"
        time.sleep(0.1)
    return path


def test_video_comes_over_webrtc_and_the_page_goes_on_without(
    window: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as (sink, _), filming(sink, ["front"], RATE):
        opened(window, sink)
        window.wait("return document.getElementById('transport').textContent === 'over WebRTC'")
        found = set()
        for _ in range(8):
            found.add(tuple(numbers(seen(window))))
            time.sleep(1 / RATE)
        assert len(found) > 3 and all(left is not None and left == right for left, right in found)
        picture = seen(window)
        assert near(picture, 40, RED, 10) and near(picture, SIZE[0] - 40, GREEN, 10)
        monkeypatch.setattr(film.Reel, "put", lambda *_: None)
        window.wait("return document.getElementById('transport').textContent === 'over WebSocket'")
        before = numbers(seen(window))
        until = time.monotonic() + 20
        while numbers(seen(window)) == before:
            assert time.monotonic() < until
        assert window.complaints() == []


@pytest.mark.usefixtures("still")
def test_four_watch_at_once(window: Browser) -> None:
    with serving() as (sink, _), filming(sink, ["front"], RATE):
        first = window.windows()[0]
        for _ in range(3):
            window.switch_to(window.new_window())
            opened(window, sink)
        window.switch_to(first)
        opened(window, sink)
        for name in window.windows():
            window.switch_to(name)
            before = numbers(seen(window))
            until = time.monotonic() + 20
            while (now := numbers(seen(window))) == before or None in now:
                assert time.monotonic() < until
            assert now[0] == now[1]
            assert window.complaints() == []
        for name in window.windows():
            if name != first:
                window.switch_to(name)
                window.close_window()
        window.switch_to(first)


@pytest.mark.usefixtures("still")
def test_a_phone_and_a_screen_reader_have_all_of_it(window: Browser) -> None:
    with serving(("front", "yard")) as (sink, _), filming(sink, ["front", "yard"], RATE):
        window.resize(390, 844, phone=True)
        try:
            opened(window, sink, "#front")
            window.wait("return document.querySelector('#charts path[d*=L]')")
            assert window.run("return document.documentElement.scrollWidth") == 390
        finally:
            window.devtools("Emulation.clearDeviceMetricsOverride")
            window.devtools("Emulation.setTouchEmulationEnabled", enabled=False)
        nodes = window.devtools("Accessibility.getFullAXTree")["nodes"]
        told = [
            (node["role"]["value"], node["name"]["value"])
            for node in nodes
            if not node["ignored"] and "name" in node
        ]
        assert [role for role, name in told if role.lower() in NAMED and not name] == []
        assert ("slider", "How much of the picture is shown as it came") in told
        assert ("slider", "Strength") in told and ("button", "Freeze") in told
