"""What other programs take: MJPEG, single pictures, figures, and whether all is well."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TypeVar

from aiohttp import web

from derain.pipeline.live.exposition import CONTENT_TYPE, text_of
from derain.pipeline.sinks.web.feeds import Feed
from derain.pipeline.sinks.web.hub import Hub, plain, unready
from derain.pipeline.sinks.web.pictures import LAYOUTS, OVERLAYS, View, stub

BOUNDARY = "derain-frame"
STILL = 1.0
"""Seconds without a frame until a stub takes its place, and between two stubs."""
SLOWEST = 20.0
"""Seconds that a viewer may take for one picture before it is left."""


Choice = TypeVar("Choice", bound=str)


def chosen(request: web.Request, key: str, among: tuple[Choice, ...], otherwise: Choice) -> Choice:
    """What an address asks for by ?key=..."""
    asked = request.query.get(key, otherwise)
    for choice in among:
        if choice == asked:
            return choice
    raise web.HTTPBadRequest(text=f"{key} must be one of {', '.join(among)}, not {asked[:80]!r}\n")


def part(picture: bytes) -> bytes:
    """A picture as one of many in an answer."""
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
    return head.encode() + picture + b"\r\n"


async def in_time(request: web.Request, answer: web.StreamResponse, data: bytes) -> bool:
    """Whether the viewer took it; who takes nothing for long is left, and some leave by themselves."""
    try:
        async with asyncio.timeout(SLOWEST):
            await answer.write(data)
    except ConnectionError:
        return False
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        return False
    return True


class Others:
    """The routes beside the page's own."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/camera/{name:.+}.mjpeg", self.mjpeg, allow_head=False),
            web.get("/camera/{name:.+}.png", self.picture),
            web.get("/api/figures", self.figures),
            web.get("/metrics", self.metrics),
            web.get("/healthz", self.healthy),
            web.get("/readyz", self.ready),
        ]

    def _feed(self, request: web.Request) -> Feed:
        name = request.match_info["name"]
        feed = self._hub.feeds.get(name)
        if feed is None:
            known = ", ".join(self._hub.feeds)
            raise web.HTTPNotFound(text=f"there is no camera {name[:80]!r} here; there is {known}\n")
        return feed

    async def mjpeg(self, request: web.Request) -> web.StreamResponse:
        """A picture after the other, for as long as somebody takes them."""
        layout = chosen(request, "layout", LAYOUTS, "restored")
        stream = self._pictures(self._feed(request), View(layout=layout))
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        answer = web.StreamResponse(headers={"Content-Type": kind})
        with self._hub.seat():
            await answer.prepare(request)
            async for picture in stream:
                if not await in_time(request, answer, part(picture)):
                    break
        return answer

    async def _pictures(self, feed: Feed, view: View) -> AsyncIterator[bytes]:
        stream, stamp = feed.stream(view), 0
        while True:
            try:
                async with asyncio.timeout(STILL):
                    picture = await stream.after(stamp)
            except TimeoutError:
                yield await self._stub(feed)
            else:
                stamp = picture.stamp
                yield picture.data

    async def _stub(self, feed: Feed) -> bytes:
        _, last = feed.newest
        since = self._hub.standings[feed.name].since if last is None else last.taken.arrived
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._hub.pool, stub, last, time.monotonic() - since)

    async def picture(self, request: web.Request) -> web.Response:
        """The newest frame without any loss: rainy above restored."""
        layout = chosen(request, "layout", LAYOUTS, "pair")
        overlay = chosen(request, "overlay", OVERLAYS, "none")
        feed = self._feed(request)
        stamp, last = feed.newest
        if last is None:
            standing = self._hub.standings[feed.name]
            raise web.HTTPServiceUnavailable(text=f"{feed.name} has no picture yet ({standing.state})\n")
        view = View(overlay=overlay, layout=layout, coding="png")
        picture = await feed.stream(view).after(stamp - 1)
        headers = {"X-Picture": picture.header}
        return web.Response(body=picture.data, content_type="image/png", headers=headers)

    async def figures(self, request: web.Request) -> web.Response:
        """All figures now."""
        return web.json_response(plain(await self._hub.figures()))

    async def metrics(self, request: web.Request) -> web.Response:
        """Figures as Prometheus reads them."""
        text = text_of(await self._hub.figures())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def healthy(self, request: web.Request) -> web.Response:
        """The process lives."""
        return web.Response(text="alive\n")

    async def ready(self, request: web.Request) -> web.Response:
        """Whether anything is restored."""
        why_not = unready(await self._hub.figures())
        return web.Response(status=503, text=why_not + "\n") if why_not else web.Response(text="ready\n")
