"""The door of the page: crowds, those who say nothing, and those who speak another language."""

import asyncio
import socket

import pytest
from web_camera import plain, serving
from web_viewer import PATIENCE, mjpeg, page, text, within

from derain.pipeline.sinks.web import door, hub
from derain.pipeline.sinks.web.opening import OpenedWeb


def raw(sink: OpenedWeb, words: bytes = b"") -> socket.socket:
    """A connection that says only that."""
    connection = socket.create_connection(("127.0.0.1", sink.port), timeout=PATIENCE)
    connection.sendall(words)
    return connection


def test_a_crowd_is_turned_away_and_nobody_is_harmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MOST", 12)

    async def work() -> None:
        async with page(sink) as viewer:
            await viewer.watch("front")
            idle = [raw(sink) for _ in range(11)]
            turned = [raw(sink) for _ in range(50)]
            answers = [await asyncio.to_thread(connection.recv, 1000) for connection in turned]
            assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
            assert answers[0].endswith(door.FULL.encode())
            sink.show(plain("front", 0))
            assert (await viewer.picture()).header["number"] == 0
            for connection in (*idle, *turned):
                connection.close()

    with serving() as (sink, _):
        within(work())


def test_who_asks_nothing_has_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PATIENCE", 0.2)
    with serving() as (sink, _):
        for words in (b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "):
            with raw(sink, words) as silent:
                assert silent.recv(100) == b""
        with raw(sink, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as polite:
            assert polite.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "words",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_a_request_that_is_none_is_answered_and_not_logged(
    words: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as (sink, _):
        with raw(sink, words) as strange:
            assert b" 400 Bad Request" in strange.recv(100)
        assert within(text(f"{sink.url}healthz"))[0] == 200
    assert caplog.records == []


def test_a_film_that_somebody_leaves_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as (sink, _):
        with raw(sink, b"GET /camera/front.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as leaving:
            sink.show(plain("front", 0))
            assert leaving.recv(100).startswith(b"HTTP/1.1 200 OK")
        for number in range(3):
            sink.show(plain("front", number))
            assert within(mjpeg(sink, 1))
    assert caplog.records == []


def test_there_are_so_many_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_VIEWERS", 1)

    async def work() -> tuple[int, str]:
        async with page(sink) as viewer:
            await viewer.told("hello")
            return await text(f"{sink.url}camera/front.mjpeg")

    with serving() as (sink, _):
        assert within(work()) == (503, "1 viewers watch already; try again later\n")
