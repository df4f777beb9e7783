"""One page that is open somewhere, over its WebSocket.

Pictures go out as they are asked for: each camera has room for IN_FLIGHT of them, and the page makes room by
saying that it drew one. A slow page so gets fewer pictures, never old ones.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import asdict

from aiohttp import WSMsgType, web

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.sinks.web.calls import Call, Lines, ends
from derain.pipeline.sinks.web.feeds import Feed
from derain.pipeline.sinks.web.film import Shape
from derain.pipeline.sinks.web.hub import Hub, message
from derain.pipeline.sinks.web.messages import LONGEST, Got, HangUp, Message, Offer, Strength, Watch, parse
from derain.pipeline.sinks.web.pictures import View

IN_FLIGHT = 2
"""Pictures of a camera on their way to a page: one is drawn while the next one travels."""
HEARTBEAT = 15.0
"""Seconds between questions whether the page is still there; it has half as many to answer."""
GOODBYE = 1.0
"""Seconds that a page has to say goodbye too."""
GOING_AWAY, POLICY_VIOLATION = 1001, 1008
LONGEST_REASON = 120
"""Bytes that a closing of a WebSocket has for its reason, about."""

log = logging.getLogger(__name__)


class Following:
    """What one page is sent of one camera."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.room = asyncio.Semaphore(IN_FLIGHT)
        self.sent: dict[int, float] = {}
        self.task: asyncio.Task[None] | None = None


class Viewer:
    """One page. `answer` is what speaks with it, once it has come in."""

    def __init__(self, hub: Hub, lines: Lines, request: web.Request) -> None:
        self._hub, self._lines, self._request = hub, lines, request
        self._socket = web.WebSocketResponse(timeout=GOODBYE, heartbeat=HEARTBEAT, max_msg_size=LONGEST)
        self._following: dict[str, Following] = {}
        self._texts: dict[str, str] = {}
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._call: Call | None = None
        self._screen: dict[str, float] = {}

    def tell(self, key: str, text: str) -> None:
        """See `hub.Listener`."""
        self._texts[key] = text
        if key == "figures" and self._screen:
            self._texts["screen"] = message("screen", seconds=self._screen)
        self._news.set()

    async def answer(self) -> web.WebSocketResponse:
        """Until the page leaves."""
        with self._hub.seat():
            return await self._serve()

    async def _serve(self) -> web.WebSocketResponse:
        await self._socket.prepare(self._request)
        telling = asyncio.create_task(self._keep_telling())
        self._greet()
        self._hub.listeners.add(self)
        try:
            await self._listen()
        finally:
            self._hub.listeners.discard(self)
            await self._leave(telling)
        return self._socket

    def _greet(self) -> None:
        names = list(self._hub.feeds)
        self.tell("hello", message("hello", cameras=names, video=self._lines.open))
        for name in names:
            self.tell(f"state {name}", self._hub.state_words(name))

    async def _leave(self, telling: asyncio.Task[None]) -> None:
        tasks = [telling, *(one.task for one in self._following.values() if one.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._hang_up()

    async def close(self) -> None:
        """The server ends."""
        await self._end(GOING_AWAY, "derain has ended")

    async def _end(self, code: int, words: str) -> None:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(2 * GOODBYE):
                await self._socket.close(code=code, message=words.encode()[:LONGEST_REASON])

    async def _listen(self) -> None:
        async for said in self._socket:
            try:
                if said.type is not WSMsgType.TEXT:
                    raise UsageError("a message must be a JSON object in a text")
                await self._do(parse(said.data))
            except UsageError as error:
                await self._refuse(str(error))
                return

    async def _refuse(self, words: str) -> None:
        """A page of ours says nothing that is wrong; who does is told so, and leaves."""
        with suppress(ConnectionError):
            async with self._sending:
                await self._socket.send_str(message("refused", said=words))
        await self._end(POLICY_VIOLATION, words)

    async def _do(self, wanted: Message) -> None:
        match wanted:
            case Watch(views):
                self._watch(views)
            case Got(camera, stamp):
                self._got(camera, stamp)
            case Strength(camera, value):
                await self._strength(camera, value)
            case Offer(camera, view, sdp):
                await self._take_call(camera, view, sdp)
            case HangUp():
                await self._hang_up()

    def _known(self, camera: str) -> Feed | None:
        feed = self._hub.feeds.get(camera)
        if feed is None:
            self.tell("said", message("said", said=f"there is no camera {camera[:80]!r} here"))
        return feed

    def _watch(self, views: dict[str, View]) -> None:
        for name, following in list(self._following.items()):
            if views.get(name) != following.view:
                del self._following[name]
                if following.task is not None:
                    following.task.cancel()
        for name, view in views.items():
            feed = self._known(name) if name not in self._following else None
            if feed is not None:
                following = self._following[name] = Following(view)
                following.task = asyncio.create_task(self._follow(feed, following))

    async def _follow(self, feed: Feed, following: Following) -> None:
        stamp, stream = 0, feed.stream(following.view)
        with suppress(ConnectionError):  # the page has left, and `answer` is about to hear of it
            while True:
                await following.room.acquire()
                picture = await stream.after(stamp)
                stamp = picture.stamp
                following.sent[stamp] = picture.arrived
                async with self._sending:
                    await self._socket.send_bytes(picture.message)

    def _got(self, camera: str, stamp: int) -> None:
        following = self._following.get(camera)
        arrived = None if following is None else following.sent.pop(stamp, None)
        if following is not None and arrived is not None:
            following.room.release()
            self._screen[camera] = time.monotonic() - arrived

    async def _strength(self, camera: str, value: float) -> None:
        if self._known(camera) is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._hub.pool, self._hub.control.set_strength, camera, value)
        except DerainError as error:
            self.tell("said", message("said", said=str(error)))

    async def _take_call(self, camera: str, view: View, sdp: str) -> None:
        await self._hang_up()
        feed = self._known(camera)
        if feed is None:
            return

        def shaped(shape: Shape) -> None:
            self.tell("shape", message("shape", camera=camera, **asdict(shape)))

        try:
            self._call = await self._lines.call(feed, view, sdp, ends(self._request), shaped)
        except DerainError as error:
            self.tell("no video", message("no video", camera=camera, said=str(error)))
        else:
            self.tell("answer", message("answer", camera=camera, sdp=self._call.sdp))

    async def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            await call.close()

    async def _keep_telling(self) -> None:
        with suppress(ConnectionError):
            while True:
                await self._news.wait()
                self._news.clear()
                texts, self._texts = self._texts, {}
                for text in texts.values():
                    async with self._sending:
                        await self._socket.send_str(text)
