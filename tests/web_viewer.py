"""What a page does, without a page: the far end of the server's WebSocket."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import cv2
import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.sinks.web.opening import OpenedWeb

T = TypeVar("T")
PATIENCE = 20


def within(work: Awaitable[T]) -> T:
    """What it gives, before anybody loses patience."""

    async def timed() -> T:
        return await asyncio.wait_for(work, PATIENCE)

    return asyncio.run(timed())


@dataclass(frozen=True)
class Sent:
    """A picture as a page gets it."""

    header: dict[str, Any]
    pixels: Pixels

    def part(self, number: int) -> Pixels:
        """0: as it came, 1: restored, 2: the overlay."""
        top = number * self.header["pitch"]
        return self.pixels[top : top + self.header["height"], : self.header["width"]]


def decoded(data: bytes) -> Pixels:
    """A JPEG or PNG."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


class Page:
    """What a page does, without a page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._heard: list[dict[str, Any]] = []

    async def say(self, **words: Any) -> None:
        """A message."""
        await self.socket.send_json(words)

    async def watch(self, *cameras: str, **view: Any) -> None:
        """These cameras and no other one."""
        await self.say(type="watch", cameras=[{"camera": camera, **view} for camera in cameras])

    async def picture(self, drawn: bool = True) -> Sent:
        """The next one; `drawn`: the server is told so."""
        while (message := await self.socket.receive()).type is not aiohttp.WSMsgType.BINARY:
            assert message.type is aiohttp.WSMsgType.TEXT, message
        (length,) = struct.unpack(">I", message.data[:4])
        header = json.loads(message.data[4 : 4 + length])
        if drawn:
            await self.say(type="got", camera=header["camera"], stamp=header["stamp"])
        return Sent(header, decoded(message.data[4 + length :]))

    async def told(self, kind: str) -> dict[str, Any]:
        """The next message of a kind; others are kept for who asks for them."""
        while not (found := [said for said in self._heard if said["type"] == kind]):
            message = await self.socket.receive()
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            if message.type is aiohttp.WSMsgType.TEXT:
                self._heard.append(message.json())
        self._heard.remove(found[0])
        return found[0]


@asynccontextmanager
async def page(sink: OpenedWeb) -> AsyncIterator[Page]:
    """One that has just been opened."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{sink.url}live") as socket:
        yield Page(socket)


async def text(address: str, **options: Any) -> tuple[int, str]:
    """What an address answers."""
    async with aiohttp.ClientSession() as session, session.get(address, **options) as answer:
        return answer.status, await answer.text()


async def mjpeg(sink: OpenedWeb, count: int, query: str = "") -> list[Pixels]:
    """The first pictures of a camera for other programs."""
    address = f"{sink.url}camera/front.mjpeg{query}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace; boundary=")
        reader = aiohttp.MultipartReader.from_response(answer)
        taken: list[Pixels] = []
        while len(taken) < count:
            part = await reader.next()
            assert isinstance(part, aiohttp.BodyPartReader)
            taken.append(decoded(bytes(await part.read())))
        return taken
