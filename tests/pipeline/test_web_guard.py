"""Who may see the page: its address, its names, the pages that ask, and the token."""

import asyncio
import importlib.util
import re
import socket
from importlib.resources import files
from typing import Any

import aiohttp
import pytest
from web_camera import TOKEN, FakeControl, plain, serving

from derain.engines.errors import UsageError
from derain.pipeline.sinks.web.opening import OpenedWeb, new_token, open_web, parse_place

ROUTES = (
    *("", "page/main.js", "page/page.css", "live", "camera/front.mjpeg", "camera/front.png"),
    *("api/figures", "metrics", "healthz", "readyz", "nothing"),
)


async def ask(address: str, **options: Any) -> tuple[int, str, Any]:
    """Status, text and headers of an answer; no redirection is followed."""
    options["allow_redirects"] = False
    async with aiohttp.ClientSession() as session, session.get(address, **options) as answer:
        return answer.status, await answer.text(), answer.headers


def at(sink: OpenedWeb, path: str = "") -> str:
    """The address of a path, without the token."""
    return f"http://127.0.0.1:{sink.port}/{path}"


def test_every_route_wants_the_token() -> None:
    async def work() -> None:
        for path in ROUTES:
            for wrong in ({}, {"params": {"token": TOKEN[:-1]}}, {"headers": {"Authorization": "Bearer x"}}):
                status, said, _ = await ask(at(sink, path), **wrong)
                assert (status, "token" in said) == (401, True), path
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(at(sink, "live"))
            assert refused.value.status == 401

    with serving(token=TOKEN) as (sink, _):
        sink.show(plain("front", 0))
        asyncio.run(work())


def test_the_token_is_taken_from_the_address_the_header_and_the_cookie() -> None:
    async def work() -> None:
        assert (await ask(at(sink, "metrics"), params={"token": TOKEN}))[0] == 200
        assert (await ask(at(sink, "metrics"), headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 200
        status, _, headers = await ask(sink.url)
        assert (status, headers["Location"]) == (303, "./")
        cookie = headers["Set-Cookie"]
        assert TOKEN not in cookie and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        kept = {"Cookie": cookie.partition(";")[0]}
        assert (await ask(at(sink), headers=kept))[0] == 200
        async with (
            aiohttp.ClientSession(headers=kept) as session,
            session.ws_connect(at(sink, "live")) as page,
        ):
            assert (await page.receive_json())["type"] == "hello"

    with serving(token=TOKEN) as (sink, _):
        assert sink.url.endswith(f"/?token={TOKEN}")
        asyncio.run(work())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("[::1]:9000", 200),
        ("192.168.1.20", 200),
        ("cameras.example", 200),
        ("Cameras.Example.:80", 200),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
def test_a_page_can_not_be_asked_by_a_foreign_name(host: str, status: int) -> None:
    """Or a name server could make a page of another site one of ours."""
    with serving(names=("cameras.example",)) as (sink, _):
        headers = {"Host": host.format(port=sink.port)}
        assert asyncio.run(ask(at(sink, "healthz"), headers=headers))[0] == status


def test_pages_of_other_sites_may_ask_for_nothing() -> None:
    async def work() -> None:
        for origin in ("http://evil.example", f"http://127.0.0.1:{sink.port + 1}", "null"):
            headers = {"Origin": origin}
            assert (await ask(at(sink, "api/figures"), headers=headers))[0] == 403
            async with aiohttp.ClientSession(headers=headers) as session:
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await session.ws_connect(at(sink, "live"))
        picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert (await ask(at(sink, "camera/front.mjpeg"), headers=picture))[0] == 403
        followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await ask(at(sink), headers=followed))[0] == 200
        own = {"Origin": at(sink).rstrip("/"), "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
        assert (await ask(at(sink, "api/figures"), headers=own))[0] == 200

    with serving() as (sink, _):
        asyncio.run(work())


def test_every_answer_has_a_strict_policy() -> None:
    async def work() -> None:
        for path in ("", "page/main.js", "nothing", "camera/attic.png", "healthz"):
            headers = (await ask(at(sink, path)))[2]
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"

    with serving() as (sink, _):
        asyncio.run(work())


def test_the_page_takes_nothing_from_other_hosts() -> None:
    page = files("derain.pipeline.sinks.web") / "page"
    for part in page.iterdir():
        named = re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"'<>)]*""", part.read_text(encoding="utf-8"))
        assert set(named) <= {"http://www.w3.org/2000/svg"}, part.name


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ("127.0.0.1", 8000)),
        ("9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("0.0.0.0", ("0.0.0.0", 8000)),
        ("cameras.example:80", ("cameras.example", 80)),
        ("[::]:8001", ("::", 8001)),
        ("[::1]", ("::1", 8000)),
    ],
)
def test_where_to_serve_is_read(text: str, place: tuple[str, int]) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["host:", "host:eighty", "host:70000", "::1"])
def test_a_place_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_place(text)


def opened(host: str, port: int, token: str = "") -> OpenedWeb:
    """A page there."""
    return open_web(host, port, token, FakeControl(["front"]), ["front"])


def test_only_loopback_goes_without_a_token() -> None:
    with pytest.raises(
        UsageError, match=r"0\.0\.0\.0 can be reached from other machines, and so needs a token"
    ):
        opened("0.0.0.0", 0)
    with pytest.raises(UsageError, match="the token has 6 letters; it takes 16 or more"):
        opened("0.0.0.0", 0, "secret")
    sink = opened("0.0.0.0", 0, token := new_token())
    sink.close()
    assert sink.url == f"http://{socket.gethostname()}:{sink.port}/?token={token}"


def test_a_port_in_use_is_one_sentence() -> None:
    with (
        serving() as (sink, _),
        pytest.raises(UsageError, match=rf"port {sink.port} of 127\.0\.0\.1 is in use"),
    ):
        opened("127.0.0.1", sink.port)


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.7 is no address of this machine"):
        opened("192.0.2.7", 0, new_token())


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "derain\[web\]"'):
        opened("127.0.0.1", 0)
