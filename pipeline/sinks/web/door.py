"""How many may come in, and how long they may stand there without a word.

Everyone who comes in takes a file descriptor, which the cameras need too when they connect anew; so the door
closes long before those run out, and who asks nothing leaves.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

MOST = 256
"""Connections at a time."""
PATIENCE = 10.0
"""Seconds until a connection must have asked for something, the headers whole."""
FULL = "there are too many connections to this server; try again later\n"


class TurnedAway(asyncio.Protocol):
    """Answers with 503 and closes, whatever was asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """At once, before anything was said."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Retry-After: 5\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(FULL) + FULL.encode()
        )
        transport.close()


class Silent:
    """Connections that have asked for nothing yet."""

    def __init__(self) -> None:
        self._all: set[asyncio.BaseProtocol] = set()

    @property
    def middleware(self) -> Middleware:
        """What sees them ask."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._all.discard(request.protocol)
            return await handler(request)

        return middleware

    def enter(self, visitor: web.RequestHandler) -> None:
        """Has PATIENCE from now on."""
        self._all.add(visitor)
        asyncio.get_running_loop().call_later(PATIENCE, self._late, visitor)

    def _late(self, visitor: web.RequestHandler) -> None:
        if visitor in self._all:
            self._all.discard(visitor)
            if visitor.transport is not None:
                visitor.transport.abort()


class Door:
    """Makes what speaks with each connection to `server`."""

    def __init__(self, server: web.Server, silent: Silent) -> None:
        self._server, self._silent = server, silent
        self._coming = 0

    def __call__(self) -> asyncio.BaseProtocol:
        """For one connection."""
        if len(self._server.connections) + self._coming >= MOST:
            return TurnedAway()
        visitor = self._server()
        self._silent.enter(visitor)
        self._coming += 1  # many come in at once, and the server counts each a moment later
        asyncio.get_running_loop().call_soon(self._come)
        return visitor

    def _come(self) -> None:
        self._coming -= 1
