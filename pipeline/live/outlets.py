"""Where frames go: any number of sinks, each for all cameras or some, and none that harms another."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from derain.pipeline.live.address import redacted
from derain.pipeline.live.seam import LiveSink, Packet, Shown, State
from derain.pipeline.live.worker import Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outlet:
    """A sink that is open. `name`: as it is told. `cameras`: those that it shows, None for all."""

    name: str
    sink: LiveSink
    cameras: frozenset[str] | None = None


class Outlets:
    """All sinks of a run. One that raises is told of once, and called no more. Any thread may call it."""

    def __init__(self, outlets: Sequence[Outlet]) -> None:
        self._outlets = tuple(outlets)
        self._broken: list[Outlet] = []

    def show(self, shown: Shown) -> None:
        """Hands a frame to those who show its camera."""
        for outlet in self._of(shown.camera):
            with _Guard(self, outlet):
                outlet.sink.show(shown)

    def away(self, camera: str, state: State, said: str) -> None:
        """Tells them of a camera's state."""
        for outlet in self._of(camera):
            with _Guard(self, outlet):
                outlet.sink.away(camera, state, said)

    def packet(self, camera: str, packet: Packet) -> None:
        """Hands them a coded packet."""
        for outlet in self._of(camera):
            with _Guard(self, outlet):
                outlet.sink.packet(camera, packet)

    def close(self, until: float) -> None:
        """Closes all at a time, those that raised too, and waits `until` then, of time.monotonic()."""
        workers = [Worker("close", partial(self._close, outlet)) for outlet in self._outlets]
        for worker in workers:
            worker.start()
        for outlet, worker in zip(self._outlets, workers, strict=True):
            if not worker.ends(until):
                log.warning("%s does not come to its end and is left behind", outlet.name)

    def _close(self, outlet: Outlet) -> None:
        with _Guard(self, outlet):
            outlet.sink.close()

    def _of(self, camera: str) -> list[Outlet]:
        return [
            outlet
            for outlet in self._outlets
            if outlet not in self._broken and (outlet.cameras is None or camera in outlet.cameras)
        ]

    def fail(self, outlet: Outlet, error: Exception) -> None:
        """This one is called no more."""
        if outlet not in self._broken:
            self._broken.append(outlet)
            told = f"{type(error).__name__}: {redacted(str(error))}"
            log.error("%s failed and shows nothing any more: %s", outlet.name, told)


class _Guard:
    """Keeps what goes wrong in a sink from all others."""

    def __init__(self, owner: Outlets, outlet: Outlet) -> None:
        self._owner, self._outlet = owner, outlet

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self._owner.fail(self._outlet, error)
            return True
        return False
