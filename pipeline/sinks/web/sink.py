"""The server in a thread of its own, and the sink that gives it what it shows."""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from derain.engines.errors import DerainError
from derain.pipeline.live.seam import Control, Packet, Shown, State
from derain.pipeline.sinks.web.app import application
from derain.pipeline.sinks.web.calls import Lines
from derain.pipeline.sinks.web.door import Door, Silent
from derain.pipeline.sinks.web.guard import Rules
from derain.pipeline.sinks.web.hub import Hub

LEAVING = 1.0
"""Seconds that answers under way have to end once the server does."""
LONGEST_END = 5.0
LETTING_IN = 5
"""Turns of the loop that a connection takes from being accepted to being there; one or two to spare."""
KEPT = 15.0
"""Seconds that a connection may stand between two questions."""

log = logging.getLogger(__name__)


def ours(record: logging.LogRecord) -> bool:
    """Whether it tells of a fault here, not of a request that is none, which anybody may send."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


log.addFilter(ours)


class WebSink:
    """See `live.seam.LiveSink`. `url`: what to open in a browser, with the token where there is one.
    `listening`: the socket, which is this sink's from now on."""

    def __init__(
        self,
        url: str,
        listening: socket.socket,
        rules: Rules,
        control: Control,
        cameras: Sequence[str],
    ) -> None:
        self.url, self.port = url, int(listening.getsockname()[1])
        self._listening, self._rules = listening, rules
        self._hub = Hub(control, cameras)
        self._lock = threading.Lock()
        self._open = True
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="derain-web", daemon=True)
        self._thread.start()
        self._loop = self._started.result()

    def show(self, shown: Shown) -> None:
        """Takes a frame; it is coded if somebody watches, later and elsewhere."""
        with self._lock:
            if self._open:
                self._hub.feeds[shown.camera].show(shown)

    def away(self, camera: str, state: State, said: str) -> None:
        """Tells all viewers."""
        with self._lock:
            if self._open:
                self._loop.call_soon_threadsafe(self._hub.changed, camera, state, said)

    def packet(self, camera: str, packet: Packet) -> None:
        """Nobody here takes coded packets."""

    def close(self) -> None:
        """Sends all viewers away."""
        with self._lock:
            if self._open:
                self._loop.call_soon_threadsafe(self._closing.set)
            self._open = False
        self._thread.join(LONGEST_END)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            with self._lock:
                self._open = False
            if not self._started.done():
                self._started.set_exception(DerainError("the server of the page did not start"))

    async def _serve(self) -> None:
        self._closing = asyncio.Event()
        lines = Lines()
        async with served(self._listening, self._rules, self._hub, lines):
            telling = asyncio.create_task(self._hub.keep_telling())
            self._started.set_result(asyncio.get_running_loop())
            await self._closing.wait()
            telling.cancel()
            await lines.close()
        self._hub.close()


@asynccontextmanager
async def served(listening: socket.socket, rules: Rules, hub: Hub, lines: Lines) -> AsyncIterator[None]:
    """The server, for as long as the context lasts."""
    silent = Silent()
    app = application(hub, lines, rules, silent.middleware)
    runner = web.AppRunner(app, access_log=None, logger=log, keepalive_timeout=KEPT, shutdown_timeout=LEAVING)
    await runner.setup()
    assert runner.server is not None
    door = Door(runner.server, silent)
    server = await asyncio.get_running_loop().create_server(door, sock=listening)
    try:
        yield
    finally:
        await let_in(listening)
        server.close()
        await runner.cleanup()


async def let_in(listening: socket.socket) -> None:
    """Takes no one more, and waits until those who were accepted just now are there to be sent away: asyncio
    leaves their sockets open where it is closed before."""
    with suppress(NotImplementedError):  # by event loops without readers, on Windows
        asyncio.get_running_loop().remove_reader(listening)
    for _ in range(LETTING_IN):
        await asyncio.sleep(0)
