"""Video over WebRTC, as far as it is possible here: pages do without where it is not."""

import asyncio
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import av
from aiohttp import web

from derain.engines.errors import DerainError
from derain.pipeline.sinks.web.feeds import Feed
from derain.pipeline.sinks.web.film import CODEC, Film, Shape
from derain.pipeline.sinks.web.pictures import View

MOST = 32
"""Calls at a time: each takes a socket, and work for each packet."""


@dataclass(frozen=True)
class Ends:
    """The address of the server as the page reached it, and that of the page: no other one takes part."""

    here: str
    there: str


def ends(request: web.Request) -> Ends:
    """Those of the connection that a request came by."""
    transport = request.transport
    here = transport.get_extra_info("sockname") if transport is not None else None
    there = transport.get_extra_info("peername") if transport is not None else None
    if not here or not there:
        raise DerainError("the page has left")
    return Ends(here[0], there[0])


class Call(Protocol):
    """One video to one page. `sdp`: the answer to its offer."""

    sdp: str

    async def close(self) -> None:
        """Hangs up. Idempotent."""
        ...


def why_not() -> str:
    """What is missing for video over WebRTC; "" where nothing is."""
    if importlib.util.find_spec("aiortc") is None:
        return "the package aiortc is not installed"
    return "" if CODEC in av.codecs_available else f"PyAV here has no {CODEC}"


class Lines:
    """All calls of a server, and the films that they share."""

    def __init__(self) -> None:
        self.why_not = why_not()
        self._films: dict[tuple[str, View], Film] = {}
        self._calls: set[Call] = set()

    @property
    def open(self) -> bool:
        """Whether pages may call."""
        return not self.why_not

    async def call(
        self, feed: Feed, view: View, sdp: str, ends: Ends, shaped: Callable[[Shape], None]
    ) -> Call:
        """Answers a page's offer. DerainError where there can't be video."""
        if self.why_not:
            raise DerainError(self.why_not)
        if len(self._calls) >= MOST:
            raise DerainError(f"{MOST} viewers have video already")
        # It takes a second to import: for those who call, and beside all others.
        rtc = await asyncio.to_thread(importlib.import_module, "derain.pipeline.sinks.web.rtc")
        film = self._films.setdefault((feed.name, view), Film(feed, view))
        call: Call = await rtc.take(film, sdp, ends, shaped, self._calls.discard)
        self._calls.add(call)
        return call

    async def close(self) -> None:
        """Hangs up all calls."""
        await asyncio.gather(*(call.close() for call in list(self._calls)))
