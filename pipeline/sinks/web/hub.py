"""What all viewers share: the cameras, how each of them is, and what the run tells of itself."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from aiohttp import web

from derain.pipeline.live.seam import Control, Figures, State
from derain.pipeline.sinks.web.feeds import Feed

MOST_VIEWERS = 64
EVERY = 1.0
"""Seconds between two tellings of the figures."""
CODERS = 2


class Listener(Protocol):
    """A viewer: what is told of one key takes the place of what it had not heard yet."""

    def tell(self, key: str, text: str) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Standing:
    """How a camera is; `since`: of the monotonic clock."""

    state: State = State.OPENING
    said: str = ""
    since: float = field(default_factory=time.monotonic)


class Hub:
    """Belongs to the event loop, but for `show` of its feeds."""

    def __init__(self, control: Control, cameras: Sequence[str]) -> None:
        self.control = control
        self.pool = ThreadPoolExecutor(CODERS + 1, "derain-web-work")
        self.feeds = {name: Feed(name, self.pool) for name in cameras}
        self.standings = {name: Standing() for name in cameras}
        self.listeners: set[Listener] = set()
        self._seats = MOST_VIEWERS

    @contextmanager
    def seat(self) -> Iterator[None]:
        """A place to watch from, for as long as it is held."""
        if not self._seats:
            said = f"{MOST_VIEWERS} viewers watch already; try again later\n"
            raise web.HTTPServiceUnavailable(text=said, headers={"Retry-After": "5"})
        self._seats -= 1
        try:
            yield
        finally:
            self._seats += 1

    def changed(self, camera: str, state: State, said: str) -> None:
        """A camera went to another state."""
        before = self.standings[camera]
        since = before.since if before.state is state else time.monotonic()
        self.standings[camera] = Standing(state, said, since)
        self.tell(f"state {camera}", self.state_words(camera))

    def state_words(self, camera: str) -> str:
        """How a camera is, as viewers are told."""
        standing = self.standings[camera]
        away = round(time.monotonic() - standing.since, 1)
        return message("state", camera=camera, state=standing.state, said=standing.said, seconds=away)

    def tell(self, key: str, text: str) -> None:
        """To all viewers."""
        for listener in self.listeners:
            listener.tell(key, text)

    async def figures(self) -> Figures:
        """Asked in a thread of the pool: the run may be busy with its own."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, self.control.figures)

    async def keep_telling(self) -> None:
        """The figures, for as long as the server runs."""
        while True:
            if self.listeners:
                self.tell("figures", message("figures", figures=plain(await self.figures())))
            await asyncio.sleep(EVERY)

    def close(self) -> None:
        """Waits for no picture that is still being coded."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def plain(figures: Figures) -> dict[str, Any]:
    """As JSON has it."""
    return asdict(figures)


def message(kind: str, **rest: Any) -> str:
    """What viewers are told."""
    return json.dumps({"type": kind, **rest})


def unready(figures: Figures) -> str:
    """Why nothing is restored yet, in a sentence; "" where it is."""
    if not figures.backend:
        return "no engine is open yet"
    if any(camera.state is State.LIVE for camera in figures.cameras):
        return ""
    return "no camera is live: " + each(f"{camera.name} is {camera.state}" for camera in figures.cameras)


def each(parts: Iterable[str]) -> str:
    """In a row, for a sentence."""
    return ", ".join(parts) or "there is none"
