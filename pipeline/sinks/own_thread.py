"""A sink that works in a thread of its own, and so holds up nobody: room for one frame, and some packets."""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from derain.engines.errors import DerainError
from derain.pipeline.live.seam import LiveSink, Packet, Shown, State

TICK = 0.1
CLOSING = 4.5
MOST_BYTES = 32 * 2**20
"""Of packets that wait."""

log = logging.getLogger(__name__)


class Work(Protocol):
    """What is done with what a camera gives, all of it in one thread."""

    def frame(self, shown: Shown) -> None: ...

    def packet(self, packet: Packet) -> None: ...

    def state(self, state: State, said: str) -> None: ...

    def tick(self) -> None:
        """Called after all that came, and again and again where nothing comes."""
        ...

    def end(self) -> None: ...


class OwnThread:
    """See `live.seam.LiveSink`; of one camera, any other's frames are left. `name`: as it is told.

    `dropped`: frames for which newer ones came before they had their turn; `packets_dropped`: packets for
    which there was no room. `work`: its counts may be read from any thread. `tick`: seconds between two calls
    of `Work.tick` where nothing comes.
    """

    def __init__(self, name: str, camera: str, work: Work, tick: float = TICK) -> None:
        self.name, self.camera, self._tick = name, camera, tick
        self.dropped = self.packets_dropped = 0
        self.work = work
        self._news = threading.Condition()
        self._shown: Shown | None = None
        self._states: deque[tuple[State, str]] = deque(maxlen=64)
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"derain-{name}", daemon=True)
        self._thread.start()

    def show(self, shown: Shown) -> None:
        """Takes a frame; raises what the thread failed with, if it did."""
        if shown.camera != self.camera:
            return
        with self._news:
            self._check()
            self.dropped += self._shown is not None
            self._shown = shown
            self._news.notify_all()

    def away(self, camera: str, state: State, said: str) -> None:
        """Takes the state."""
        if camera == self.camera:
            with self._news:
                self._states.append((state, said))
                self._news.notify_all()

    def packet(self, camera: str, packet: Packet) -> None:
        """Takes a packet; where too many wait, the oldest are left out."""
        if camera != self.camera:
            return
        with self._news:
            if self._closed or self._error is not None:
                return
            self._packets.append(packet)
            self._bytes += len(packet.data)
            while self._bytes > MOST_BYTES:
                self._bytes -= len(self._packets.popleft().data)
                self.packets_dropped += 1
            self._news.notify_all()

    def close(self) -> None:
        """What came is worked off; nothing waits for more than CLOSING seconds. Idempotent."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._thread.join(CLOSING)
        if self._thread.is_alive():
            log.warning("%s does not come to its end and is left behind", self.name)

    def _check(self) -> None:
        if isinstance(self._error, DerainError):
            raise self._error
        if self._error is not None:
            raise DerainError(f"{type(self._error).__name__}: {self._error}") from self._error

    def _run(self) -> None:
        with self:  # an error is kept for `show`
            over = False
            while not over:
                over = self._turn()
        with self:
            self.work.end()

    def _turn(self) -> bool:
        """Works off what came; whether it was the last turn."""
        with self._news:
            self._news.wait_for(self._has_news, self._tick)
            shown, self._shown = self._shown, None
            states, packets = list(self._states), list(self._packets)
            self._states.clear()
            self._packets.clear()
            self._bytes = 0
            over = self._closed
        for state, said in states:
            self.work.state(state, said)
        for packet in packets:
            self.work.packet(packet)
        if shown is not None:
            self.work.frame(shown)
        self.work.tick()
        return over

    def _has_news(self) -> bool:
        return bool(self._closed or self._shown is not None or self._states or self._packets)

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keeps the first error."""
        if isinstance(error, Exception):
            with self._news:
                self._error = self._error or error
            if self._closed:
                log.error("%s did not end as it should: %s: %s", self.name, type(error).__name__, error)
        return True


class Each:
    """A sink for each of several cameras, as one."""

    def __init__(self, sinks: Mapping[str, LiveSink]) -> None:
        self.sinks = dict(sinks)

    def show(self, shown: Shown) -> None:
        """Hands it to its camera's."""
        if shown.camera in self.sinks:
            self.sinks[shown.camera].show(shown)

    def away(self, camera: str, state: State, said: str) -> None:
        """Hands it to its camera's."""
        if camera in self.sinks:
            self.sinks[camera].away(camera, state, said)

    def packet(self, camera: str, packet: Packet) -> None:
        """Hands it to its camera's."""
        if camera in self.sinks:
            self.sinks[camera].packet(camera, packet)

    def close(self) -> None:
        """Closes all, at a time: each may take its 5 seconds."""
        until = time.monotonic() + CLOSING + 0.4
        threads = [threading.Thread(target=sink.close, daemon=True) for sink in self.sinks.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
