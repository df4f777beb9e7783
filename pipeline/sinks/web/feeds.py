"""The newest frame of each camera, coded only while somebody wants it, and once for all who do.

Whoever watches asks for a picture newer than the last one; who asks too rarely misses some, and nobody waits
for anybody. All but `Feed.show` belongs to the event loop.
"""

import asyncio
from concurrent.futures import Executor

from derain.pipeline.live.seam import Shown
from derain.pipeline.sinks.web.pictures import Coded, View, made


class Feed:
    """One camera. Frames are stamped 1, 2, ... in the order they were shown."""

    def __init__(self, name: str, pool: Executor) -> None:
        self.name = name
        self.pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        self._newest: tuple[int, Shown | None] = (0, None)
        self._waiting: set[asyncio.Future[None]] = set()
        self._streams: dict[View, Stream] = {}

    @property
    def newest(self) -> tuple[int, Shown | None]:
        """The last frame and its stamp; (0, None) before the first."""
        return self._newest

    def show(self, shown: Shown) -> None:
        """Takes a frame, from any one thread, while the event loop runs."""
        self._newest = (self._newest[0] + 1, shown)
        if self._waiting and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def newer(self, stamp: int) -> tuple[int, Shown]:
        """The newest frame, once there is one newer than `stamp`."""
        self._loop = asyncio.get_running_loop()
        while True:
            waiting = self._loop.create_future()
            self._waiting.add(waiting)  # before looking, lest a frame come in between unseen
            try:
                newest, shown = self._newest
                if shown is not None and newest > stamp:
                    return newest, shown
                await waiting
            finally:
                self._waiting.discard(waiting)

    def stream(self, view: View) -> "Stream":
        """Its pictures, for all who want to see the same."""
        return self._streams.setdefault(view, Stream(self, view))


class Stream:
    """The pictures of one camera in one view."""

    def __init__(self, feed: Feed, view: View) -> None:
        self._feed, self._view = feed, view
        self._last = Coded(0, 0.0, b"")
        self._coming: asyncio.Task[Coded] | None = None

    async def after(self, stamp: int) -> Coded:
        """The newest picture, once there is one newer than `stamp`."""
        if stamp < self._last.stamp == self._feed.newest[0]:
            return self._last
        if self._coming is None or self._coming.done():
            self._coming = asyncio.create_task(self._next())
        return await asyncio.shield(self._coming)  # whoever leaves, others still wait for it

    async def _next(self) -> Coded:
        stamp, shown = await self._feed.newer(self._last.stamp)
        loop = asyncio.get_running_loop()
        self._last = await loop.run_in_executor(self._feed.pool, made, stamp, shown, self._view)
        return self._last
