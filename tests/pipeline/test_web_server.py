"""The server behind the page, asked by other programs: pictures, slow viewers, bad messages, crowds."""

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import aiohttp
import numpy as np
import pytest
from web_camera import GREEN, RED, SIZE, plain, serving
from web_viewer import PATIENCE, Sent, decoded, mjpeg, page, text, within

from derain.engines.engine import Pixels
from derain.pipeline.live.seam import State
from derain.pipeline.sinks.web import others, pictures
from derain.pipeline.sinks.web.pictures import Coded
from derain.pipeline.sources.marks import read


def test_both_halves_of_every_picture_are_of_one_frame() -> None:
    async def work() -> None:
        async with page(sink) as viewer:
            await viewer.watch("front")
            for number in range(5):
                sink.show(plain("front", number, (320, 184)))
                sent = await viewer.picture()
                for part, foot in ((sent.part(0), RED), (sent.part(1), GREEN)):
                    marks = [read(part, half) for half in ("left", "right")]
                    assert [mark.number if mark else None for mark in marks] == [number, number]
                    assert abs(part[-8, 160].astype(int) - foot).max() < 12
                    assert abs(part[90, 160].astype(int) - part[90, 100]).max() < 12
                assert sent.header["number"] == number

    with serving() as (sink, _):
        within(work())


def test_overlays_lie_below_the_halves_and_tiles_are_small() -> None:
    async def work() -> None:
        async with page(sink) as viewer:
            sink.show(plain("front", 0, (960, 540)))
            await viewer.watch("front", overlay="attention")
            attention = (await viewer.picture()).part(2)
            assert attention[270, 200].max() > 100 and attention[270, 700].max() < 10
            await viewer.watch("front", overlay="altered")
            altered = (await viewer.picture()).part(2)
            assert altered[300, 400].max() > 100 and altered[5, 5].max() < 10  # the mark is as it was
            await viewer.watch("front", size="tile")
            assert (await viewer.picture()).part(1).shape == (270, 480, 3)

    with serving() as (sink, _):
        within(work())


def test_a_viewer_that_is_slow_gets_the_newest_frame_not_the_next() -> None:
    async def work() -> None:
        async with page(sink) as slow, page(sink) as quick:
            for viewer in (slow, quick):
                await viewer.watch("front")
            numbers = []
            for number in range(12):
                sink.show(plain("front", number))
                numbers.append((await quick.picture()).header["number"])
            assert numbers == list(range(12))
            waiting = [await slow.picture(drawn=False) for _ in range(2)]
            assert [sent.header["number"] for sent in waiting] == [0, 1]
            await slow.say(type="got", camera="front", stamp=waiting[0].header["stamp"])
            assert (await slow.picture()).header["number"] == 11

    with serving() as (sink, _):
        within(work())


def test_a_viewer_that_reads_nothing_holds_up_nobody() -> None:
    """Its socket is full soon: pictures of noise are large, and it says that it drew what it never read."""

    async def work() -> None:
        async with page(sink) as stuck, page(sink) as other:
            transport = stuck.socket._response.connection.transport  # type: ignore[union-attr]
            transport.pause_reading()  # type: ignore[union-attr]
            for viewer in (stuck, other):
                await viewer.watch("front")
            for number in range(40):
                sink.show(noisy(number))
                await stuck.say(type="got", camera="front", stamp=number)
                assert (await other.picture()).header["number"] == number
            transport.abort()  # type: ignore[union-attr]

    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)

    def noisy(number: int) -> Any:
        frame = plain("front", number, (640, 480))
        frame.restored[60:] = noise[60:]
        return frame

    with serving() as (sink, _):
        within(work())


def test_a_frame_is_coded_once_for_all_and_only_for_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    coded: list[int] = []

    def counted(stamp: int, *rest: Any) -> Coded:
        coded.append(stamp)
        return pictures.made(stamp, *rest)

    async def work() -> None:
        for number in range(5):
            sink.show(plain("front", number))
        async with page(sink) as one, page(sink) as two, page(sink) as three, page(sink) as four:
            viewers = (one, two, three, four)
            for viewer in viewers:
                await viewer.watch("front")
                assert (await viewer.picture()).header["stamp"] == 5
            for number in range(5, 8):
                sink.show(plain("front", number))
                assert {(await viewer.picture()).header["number"] for viewer in viewers} == {number}

    monkeypatch.setattr("derain.pipeline.sinks.web.feeds.made", counted)
    with serving() as (sink, _):
        within(work())
    assert coded == [5, 6, 7, 8]


def test_mjpeg_is_the_restored_picture_and_grey_with_the_time_while_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(others, "STILL", 0.1)
    with serving() as (sink, _):
        sink.show(plain("front", 3))
        live, stub = within(mjpeg(sink, 2))
        (side,) = within(mjpeg(sink, 1, "?layout=side"))
    mark = read(live)
    assert mark is not None and mark.number == 3
    assert abs(live[-8, 160].astype(int) - GREEN).max() < 12
    assert stub.shape == live.shape and np.ptp(stub[-8, 300].astype(int)) < 8 and stub.max() > 200
    assert side.shape == (SIZE[1], 2 * SIZE[0], 3)


def test_one_picture_comes_without_any_loss() -> None:
    async def work() -> tuple[dict[str, Any], Pixels]:
        address = f"{sink.url}camera/front.png"
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            return json.loads(answer.headers["X-Picture"]), decoded(await answer.read())

    with serving() as (sink, _):
        assert within(text(f"{sink.url}camera/front.png")) == (503, "front has no picture yet (live)\n")
        frame = plain("front", 1)
        sink.show(frame)
        sent = Sent(*within(work()))
    np.testing.assert_array_equal(sent.part(0), frame.taken.frame.pixels)
    np.testing.assert_array_equal(sent.part(1), frame.restored)


def test_frames_of_sixteen_bits_are_seen_in_eight() -> None:
    eight = plain("front", 1)
    frame, rows = eight.taken.frame, SIZE[1]
    deep = replace(frame, pixels=frame.pixels.astype(np.uint16) * 257)
    shown = replace(
        eight, taken=replace(eight.taken, frame=deep), restored=eight.restored.astype(np.uint16) * 257
    )
    stack = pictures.stacked(shown, pictures.View(overlay="altered"))
    np.testing.assert_array_equal(stack.picture[:rows], frame.pixels)
    np.testing.assert_array_equal(stack.picture[stack.pitch : stack.pitch + rows], eight.restored)


def test_the_strength_reaches_the_run_and_a_wrong_one_is_answered() -> None:
    async def work() -> None:
        async with page(sink) as viewer:
            await viewer.say(type="strength", camera="front", value=0.25)
            await viewer.say(type="strength", camera="front", value=7)
            assert (await viewer.told("said"))["said"] == "the strength is 7.0; it must be from 0 to 1"
            await viewer.watch("attic")
            assert (await viewer.told("said"))["said"] == "there is no camera 'attic' here"
            await viewer.watch("front")  # and it is still heard

    with serving() as (sink, control):
        within(work())
        assert control.cameras["front"].strength == 0.25


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("what?", "a message must be a JSON object"),
        ("[" * 10_000, "a message must be a JSON object"),
        ("[]", "a message must be a JSON object"),
        ('{"type": "format disk"}', '"type" must be watch, got, strength, offer or hangup'),
        ('{"type": "watch", "cameras": "all"}', '"cameras" must be a list of 256 at most'),
        ('{"type": "watch", "cameras": [{"camera": 1}]}', '"camera" must be a text'),
        (
            '{"type": "watch", "cameras": [{"camera": "front", "size": "huge"}]}',
            '"size" must be one of tile, full',
        ),
        ('{"type": "got", "camera": "front", "stamp": NaN}', '"stamp" must be a number'),
        ('{"type": "strength", "camera": "front", "value": true}', '"value" must be a number'),
        (b"\x00\x01", "a message must be a JSON object in a text"),
    ],
)
def test_a_malformed_message_is_answered_by_a_sentence_and_the_end(
    message: str | bytes, sentence: str
) -> None:
    async def work() -> None:
        async with page(sink) as other, page(sink) as bad:
            send = bad.socket.send_str if isinstance(message, str) else bad.socket.send_bytes
            await send(message)  # type: ignore[arg-type]
            assert (await bad.told("refused"))["said"] == sentence
            await bad.socket.receive()
            assert bad.socket.close_code == 1008
            await other.watch("front")
            assert (await other.picture()).header["number"] == 0

    with serving() as (sink, _):
        sink.show(plain("front", 0))
        within(work())


def test_a_message_without_end_is_not_kept() -> None:
    async def work() -> int | None:
        async with page(sink) as viewer:
            await viewer.socket.send_str("x" * 100_000)
            while (await viewer.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            return viewer.socket.close_code

    with serving() as (sink, _):
        assert within(work()) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


def test_a_camera_that_goes_away_is_told_with_why() -> None:
    async def work() -> dict[str, Any]:
        async with page(sink) as viewer:
            await viewer.told("state")
            sink.away("front", State.AWAY, "it refused the connection")
            return await viewer.told("state")

    with serving() as (sink, _):
        told = within(work())
    assert (told["camera"], told["state"], told["said"]) == ("front", "away", "it refused the connection")
    assert told["seconds"] < PATIENCE


def test_health_readiness_figures_and_metrics() -> None:
    with serving(("front", "yard")) as (sink, control):
        assert within(text(f"{sink.url}healthz"))[0] == 200
        assert within(text(f"{sink.url}readyz")) == (200, "ready\n")
        figures = json.loads(within(text(f"{sink.url}api/figures"))[1])
        assert [camera["name"] for camera in figures["cameras"]] == ["front", "yard"]
        assert figures["cameras"][0]["state"] == "live"
        assert 'derain_live_restored_fps{camera="yard"}' in within(text(f"{sink.url}metrics"))[1]
        for camera in ("front", "yard"):
            control.become(camera, State.AWAY, "")
        assert within(text(f"{sink.url}readyz")) == (503, "no camera is live: front is away, yard is away\n")
        control.backend = ""
        assert within(text(f"{sink.url}readyz")) == (503, "no engine is open yet\n")


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("camera/attic.mjpeg", 404, "there is no camera 'attic' here; there is front\n"),
        ("camera/attic.png", 404, "there is no camera 'attic' here; there is front\n"),
        (
            "camera/front.mjpeg?layout=3d",
            400,
            "layout must be one of pair, restored, rainy, side, not '3d'\n",
        ),
        ("page/../sink.py", 404, "there is nothing here by that name; the page is at /\n"),
        ("page/token.html", 404, "there is nothing here by that name; the page is at /\n"),
    ],
)
def test_what_is_not_here_is_said_in_a_sentence(path: str, status: int, sentence: str) -> None:
    with serving() as (sink, _):
        assert within(text(f"{sink.url}{path}")) == (status, sentence)


def test_who_asks_for_the_head_of_a_film_is_not_kept_waiting() -> None:
    async def work() -> int:
        address = f"{sink.url}camera/front.mjpeg"
        async with aiohttp.ClientSession() as session, session.head(address) as answer:
            return answer.status

    with serving() as (sink, _):
        assert within(work()) == 404


def test_the_end_is_told_to_viewers_and_comes_soon() -> None:
    async def work() -> int | None:
        async with page(sink) as viewer:
            await viewer.told("hello")
            await viewer.watch("front")
            watching = asyncio.create_task(mjpeg(sink, 9))
            closing = asyncio.create_task(asyncio.to_thread(sink.close))
            while (await viewer.socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass
            await closing
            with pytest.raises((aiohttp.ClientError, AssertionError, ValueError)):
                await watching
            return viewer.socket.close_code

    with serving() as (sink, _):
        assert within(work()) == aiohttp.WSCloseCode.GOING_AWAY
        sink.show(plain("front", 0))
        sink.away("front", State.ENDED, "")
        sink.close()
        assert "derain-web" not in {thread.name for thread in threading.enumerate()}
