"""A call over WebRTC: no other server takes part, and no address but those of the page's own connection.

Browsers hide their addresses behind names that only a broadcast resolves. The page has one that is known,
that of its WebSocket; its offer is read as if it named that one, and nothing is sent anywhere else.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from aiortc import (
    InvalidStateError,
    MediaStreamError,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, OperationError

from derain.engines.errors import DerainError
from derain.pipeline.sinks.web.calls import Call, Ends
from derain.pipeline.sinks.web.film import Film, Reel, Shape

PATIENCE = 15.0
"""Seconds that a call has to connect."""
CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ udp \d+ )(\S+)( \d+ typ host\b.*)$", re.I | re.M)
OTHERS = re.compile(r"^a=candidate:.*\r?\n", re.M)
CODECS = ("video/h264", "video/rtx")
BAD_OFFER = (ValueError, KeyError, IndexError, AttributeError, AssertionError)
"""What aiortc makes of an offer that is none."""
NO_COMMON = (InvalidAccessError, InvalidStateError, OperationError)


class Video(MediaStreamTrack):
    """A film as aiortc takes it: coded already."""

    kind = "video"

    def __init__(self, reel: Reel) -> None:
        super().__init__()
        self._reel = reel

    async def recv(self) -> Any:
        """The next packet."""
        if self.readyState != "live":
            raise MediaStreamError
        return await self._reel.next()


class RtcCall:
    """See `calls.Call`."""

    def __init__(self, peer: RTCPeerConnection, film: Film, reel: Reel, gone: Callable[[Call], None]) -> None:
        self.sdp = ""
        self._peer, self._film, self._reel, self._gone = peer, film, reel, gone
        self._closing: asyncio.Task[None] | None = None
        peer.on("connectionstatechange", self._changed)
        self._late = asyncio.get_running_loop().call_later(PATIENCE, self._too_late)

    def _changed(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._end()

    def _too_late(self) -> None:
        if self._peer.connectionState != "connected":
            self._end()

    def _end(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._late.cancel()
            self._film.leave(self._reel)
            self._gone(self)
            self._closing = asyncio.create_task(self._peer.close())
        return self._closing

    async def close(self) -> None:
        """Hangs up."""
        await asyncio.shield(self._end())


async def take(
    film: Film, sdp: str, ends: Ends, shaped: Callable[[Shape], None], gone: Callable[[Call], None]
) -> Call:
    """Answers an offer; `gone` is called once the call is over. DerainError where it can't be."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    reel = film.join(shaped)
    call = RtcCall(peer, film, reel, gone)
    try:
        call.sdp = await answered(peer, Video(reel), sdp, ends)
    except BAD_OFFER:
        await call.close()
        raise DerainError("that is no offer of a browser's WebRTC") from None
    except NO_COMMON as error:
        await call.close()
        raise DerainError(f"the browser takes no H.264 over WebRTC ({error})") from None
    return call


async def answered(peer: RTCPeerConnection, video: Video, sdp: str, ends: Ends) -> str:
    """The answer to an offer, once the server's own address is in it."""
    line = peer.addTransceiver(video, direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    line.setCodecPreferences([codec for codec in codecs if codec.mimeType.lower() in CODECS])
    await peer.setRemoteDescription(RTCSessionDescription(sdp=only(ends.there, sdp), type="offer"))
    listen_only_at(ends.here, line.sender.transport.transport.iceGatherer)
    await peer.setLocalDescription(await peer.createAnswer())
    return peer.localDescription.sdp


def only(address: str, sdp: str) -> str:
    """An offer whose candidates are all at `address`."""
    kept = CANDIDATE.sub(rf"\g<1>{address}\g<3>", sdp)
    return OTHERS.sub(lambda line: line[0] if f" {address} " in line[0] else "", kept)


def listen_only_at(address: str, gatherer: Any) -> None:
    """aioice opens a socket at every address of the machine; it is given one, which may be loopback's."""
    connection = gatherer._connection
    gather = connection.get_component_candidates

    async def at_one(component: int, addresses: list[str], **options: Any) -> Any:
        return await gather(component=component, addresses=[address], **options)

    connection.get_component_candidates = at_one
