"""Streams pushed to a server or a network: RTSP, RTMP, SRT, and MPEG-TS over UDP."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from av.packet import Packet as Coded

from derain.engines.errors import UsageError
from derain.pipeline.live.address import Address, Kind
from derain.pipeline.live.opening import knows_srt
from derain.pipeline.live.seam import Packet
from derain.pipeline.sinks.coder import check_coder
from derain.pipeline.sinks.lasting import TICK, Lasting
from derain.pipeline.sinks.own_thread import OwnThread
from derain.pipeline.sinks.recording import TracksOf
from derain.pipeline.sinks.wrapping import Sound

FORMATS = {Kind.RTSP: "rtsp", Kind.RTMP: "flv", Kind.UDP: "mpegts", Kind.SRT: "mpegts"}
OPTIONS = {"flush_packets": "1", "max_interleave_delta": "200000"}
"""Nothing is held back; sound that fails holds up pictures no longer than this, in microseconds."""
OWN_OPTIONS = {"rtsp": {"rtsp_transport": "tcp"}, "flv": {"flvflags": "no_duration_filesize"}}
BEHIND = 3
"""Pictures that may wait for the network."""
STALL = 8.0
LONGEST = 20
"""Seconds after which a process ends by itself where nobody is left to end it."""
MOST = 256
ENDING = 1.5
"""Seconds that the far end has to take what is left."""


class Line:
    """A process that pushes to `address`, see push_program. See lasting.Writer. `stall`: seconds that the far
    end has to be connected, and then to take one message."""

    def __init__(
        self,
        address: Address,
        size: tuple[int, int],
        sounds: Sequence[Sound],
        stall: float = STALL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.works = False
        self._address, self._stall, self._clock = address, stall, clock
        self._failed = ""
        self._put = self._sent = 0
        self._busy_since: float | None = None
        self._asked: float | None = None
        self._messages: queue.Queue[Any] = queue.Queue(MOST)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "derain.pipeline.sinks.push_program"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to hear
        )
        name = FORMATS[address.kind]
        options = {**OPTIONS, **OWN_OPTIONS.get(name, {})}
        self._messages.put((with_packets(address), name, size, tuple(sounds), options, LONGEST))
        self._threads = [threading.Thread(target=body, daemon=True) for body in (self._feed, self._listen)]
        for thread in self._threads:
            thread.start()

    def ready(self) -> bool:
        """See Writer; raises OSError where the process is gone or stuck."""
        if self._failed:
            raise OSError(self._failed)
        if self._process.poll() is not None:
            raise OSError("the process that pushes it ended")
        since = self._busy_since if self.works else self._asked
        if since is not None and self._clock() - since > self._stall:
            raise OSError("the far end takes nothing" if self.works else "the far end does not answer")
        return self._put - self._sent < BEHIND

    def picture(self, packet: Coded[Any]) -> None:
        """See Writer."""
        self._put += 1
        self._asked = self._asked or self._clock()
        self._messages.put_nowait(("picture", bytes(packet), packet.pts, packet.dts, packet.is_keyframe))

    def sound(self, packet: Packet, seconds: float) -> None:
        """See Writer; it is left out where too much waits."""
        duration = packet.duration * packet.time_base
        if self._messages.qsize() < MOST - BEHIND - 1:
            self._messages.put_nowait(("sound", packet.stream, packet.data, seconds, duration))

    def close(self) -> None:
        """Ends the process, in ENDING seconds."""
        with suppress(queue.Full):
            self._messages.put_nowait(None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if self._failed else ENDING)
        self._process.kill()
        self._process.wait()
        with suppress(queue.Empty):
            while True:
                self._messages.get_nowait()
        self._messages.put_nowait(None)
        for thread in self._threads:
            thread.join(1.0)

    def _feed(self) -> None:
        """Hands messages on as fast as they are taken."""
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as sink:
            while (message := self._messages.get()) is not None:
                self._busy_since = self._clock()
                pickle.dump(message, sink, pickle.HIGHEST_PROTOCOL)
                sink.flush()
                self._busy_since = None
                self._sent += message[0] == "picture"

    def _listen(self) -> None:
        """Hears what the process says."""
        assert self._process.stdout is not None
        with self._process.stdout as source:
            for line in source:
                words = line.decode(errors="replace").strip()
                if words == "works":
                    self.works = True
                elif words.startswith("failed: "):
                    self._failed = self._address.hide(words.removeprefix("failed: "))


def with_packets(address: Address) -> str:
    """The address; MPEG-TS over UDP in packets that fit into those of a network."""
    if address.kind is Kind.UDP and "?" not in address.url:
        return f"{address.url}?pkt_size=1316"
    return address.url


def check_push(address: Address) -> None:
    """Raises UsageError for an address that nothing is pushed to, or that this FFmpeg does not know."""
    if address.kind not in FORMATS:
        raise UsageError(f"nothing is pushed to {address.shown}; take rtsp, rtmp, srt or udp://HOST:PORT")
    if not urlsplit(address.url).hostname:
        raise UsageError(f"{address.shown} names no host to push to; write {address.kind.value}://HOST:PORT")
    if address.kind is Kind.SRT and not knows_srt():
        raise UsageError(
            f"the FFmpeg in this PyAV has no SRT for {address.shown}; build PyAV against one with libsrt "
            "(pip install --no-binary av av), or push to rtsp, rtmp or udp"
        )


def open_push(
    address: Address, camera: str, tracks: TracksOf, size: tuple[int, int] | None = None
) -> OwnThread:
    """Streams `camera` to `address` in a thread of its own. Raises UsageError where that can't be."""
    check_push(address)
    check_coder()
    work = Lasting(f"the stream to {address.shown}", camera, partial(Line, address), tracks, size)
    return OwnThread(f"the stream to {address.shown}", camera, work, TICK)
