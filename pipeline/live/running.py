"""A live run while it goes: sources start, one thread restores, the calling one watches, all of it ends."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from derain.pipeline.live.address import redacted
from derain.pipeline.live.camera import Camera
from derain.pipeline.live.contract import Contract, Move
from derain.pipeline.live.desk import Desk
from derain.pipeline.live.networks import Opened
from derain.pipeline.live.outlets import Outlet, Outlets
from derain.pipeline.live.scheduler import Scheduler
from derain.pipeline.live.seam import LiveSource, State
from derain.pipeline.live.slots import Policy
from derain.pipeline.live.telling import LiveTeller
from derain.pipeline.live.worker import Worker
from derain.pipeline.source import StreamInfo

POLL = 0.1
"""Seconds between two looks at the cameras."""
FIGURES_EVERY = 0.5
"""Seconds between two looks at all that was counted."""
TOLD_WITHIN = 3.0
"""Seconds that cameras have to tell their sizes and rates before a network is chosen for them."""
STOPPING = 2.5
"""Seconds for all sources to stop, which they do within 2."""
DRAINING = 1.0
"""Seconds after that for frames that came before."""
CLOSING = 4.7
"""Seconds from the end of a run to that of its sinks."""

GRACE = 10.0
"""Seconds given to the frame that is being restored when the run ends."""

log = logging.getLogger(__name__)


class LiveRun:
    """One run. The thread that makes it calls all but what is said of the desk."""

    def __init__(
        self,
        sources: Sequence[LiveSource],
        strengths: Sequence[float],
        policy: Policy,
        max_latency: float | None,
        teller: LiveTeller,
    ) -> None:
        self.max_latency, self._teller = max_latency, teller
        self._news = threading.Condition()
        self.cameras = [
            Camera(source, self._news, policy=policy, budget=max_latency, strength=strength)
            for source, strength in zip(sources, strengths, strict=True)
        ]
        self.desk = Desk(self.cameras)
        self._outlets = Outlets(())
        self._states: dict[str, tuple[State, str]] = {}
        self._scheduler: Scheduler | None = None
        self._worker: Worker | None = None
        self._opened: Opened | None = None
        self._running = self._left = False
        self._moves: deque[Move] = deque()
        self._told = 0.0

    def show_on(self, outlets: Sequence[Outlet]) -> None:
        """Where frames go; they are closed with the run."""
        self._outlets = Outlets(outlets)

    @property
    def count(self) -> int:
        """See Known."""
        return len(self.cameras)

    @property
    def failure(self) -> BaseException | None:
        """What ended the thread that restores, if it failed."""
        return None if self._worker is None else self._worker.error

    def infos(self) -> Sequence[StreamInfo]:
        """See Known: starts the sources, and waits until all have told, or for a while."""
        self._start_sources()
        until = time.monotonic() + TOLD_WITHIN
        while any(camera.source.info is None for camera in self.cameras) and time.monotonic() < until:
            time.sleep(POLL)
        return [info for camera in self.cameras if (info := camera.source.info) is not None]

    def begin(self, opened: Opened) -> None:
        """Starts what restores, then the sources. After it, and whatever it raises, `leave`."""
        self.desk.engine = opened.workshop.engine
        for camera in self.cameras:
            camera.make = opened.workshop.make
        contract = None
        if self.max_latency is not None:
            names = [camera.name for camera in self.cameras]
            contract = Contract(self.max_latency, opened.steps, names, time.monotonic())
        self._scheduler = Scheduler(
            self.cameras,
            opened.workshop,
            self._outlets.show,
            self._news,
            contract=contract,
            steps=opened.steps,
            tell=self._moves.append,
            relay=opened.relay,
        )
        self._worker = Worker("live-restore", self._scheduler.run)
        self._worker.start()
        self._start_sources()
        self._opened = opened

    def watch(self, duration: float | None) -> str:
        """Until it is to end, and ends it; gives why, in words. Where nothing was begun: at once."""
        if self._opened is None or self._worker is None:
            return "ended before it had begun"
        began, why = time.monotonic(), "done"
        try:
            while not self._ended(began, duration):
                self._tell(self._opened)
                self._worker.ended.wait(POLL)
        except KeyboardInterrupt:
            why = "ended"
        self.leave()
        self._opened.relay.end()
        self._tell_changes(self._opened)
        return why

    def leave(self) -> None:
        """Stops the sources, restores what came before, and closes the sinks. A second call does nothing."""
        if self._left:
            return
        self._left = True
        now = time.monotonic()
        for camera in self.cameras:
            camera.slot.close()
        try:
            if self._running:
                self._stop_sources(now + STOPPING)
            self._drain(time.monotonic() + DRAINING)
        finally:
            self._end_restoring(time.monotonic() + GRACE)
            self._outlets.close(now + CLOSING)

    def _start_sources(self) -> None:
        if not self._running:
            self._running = True
            for camera in self.cameras:
                camera.source.start(camera.give, partial(self._outlets.packet, camera.name))

    def _ended(self, began: float, duration: float | None) -> bool:
        if self.failure is not None or self.desk.leaving.is_set():
            return True
        if duration is not None and time.monotonic() - began >= duration:
            return True
        return all(camera.source.state is State.ENDED for camera in self.cameras)

    def _tell(self, opened: Opened) -> None:
        self.desk.engine = opened.engine
        self._tell_states()
        self._tell_changes(opened)
        now = time.monotonic()
        if now - self._told >= FIGURES_EVERY:
            self._told = now
            self._teller.figures(self.desk.figures())

    def _tell_changes(self, opened: Opened) -> None:
        """Here and not where they are made: whoever listens may keep this thread waiting, but no frames."""
        while self._moves:
            move = self._moves.popleft()
            log.info("%s", move.line())
            self._teller.step(move)
        for change in opened.relay.news():
            self._teller.changed(change)

    def _tell_states(self) -> None:
        for camera in self.cameras:
            now = camera.source.state, camera.source.said
            before = self._states.get(camera.name, (State.OPENING, ""))
            if now != before:
                self._states[camera.name] = now
                self._teller.state(camera.name, *now)
                self._outlets.away(camera.name, *now)

    def _stop_sources(self, until: float) -> None:
        """All at a time: each may take its 2 seconds."""
        workers = [Worker(f"stop-{camera.name}", camera.source.stop) for camera in self.cameras]
        for worker in workers:
            worker.start()
        for worker, camera in zip(workers, self.cameras, strict=True):
            if not worker.ends(until):
                log.warning("%s does not stop and is left behind", camera.name)
            elif worker.error is not None:
                log.warning("%s did not stop as it should: %s", camera.name, redacted(str(worker.error)))

    def _drain(self, until: float) -> None:
        """Frames that came before are restored, as far as there is time."""
        if self._scheduler is not None and self._worker is not None:
            self._scheduler.finish()
            self._worker.ends(until)

    def _end_restoring(self, until: float) -> None:
        """The engine is let go of, whatever Ctrl-C says meanwhile: it can't be closed before."""
        if self._scheduler is None or self._worker is None:
            return
        self._scheduler.cancel()
        while not self._worker.ended.is_set() and time.monotonic() < until:
            with suppress(KeyboardInterrupt):
                self._worker.ends(until)
        if not self._worker.ended.is_set():
            log.warning("the engine did not come to an end within %g seconds", GRACE)
        else:
            self._worker.join()
