"""A live source that lasts: whatever its camera does, it is opened anew, and says what it is like."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.frame import Frame
from derain.pipeline.live.address import Address, Kind
from derain.pipeline.live.opening import LONGEST, SourceOptions
from derain.pipeline.live.seam import Give, GivePacket, SourceCounts, State, Taken, Track
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.apart import Apart
from derain.pipeline.sources.backoff import BackOff
from derain.pipeline.sources.telling import Began, Coded, Facts, Message, Noted, Opened, Over, Task, Why
from derain.pipeline.sources.watch import Stillness, Watch

TICK = 0.1
"""Seconds between two looks at a connection."""
JOIN = 1.8
"""Seconds that `stop` waits, at most."""

Heard: TypeAlias = Callable[[Message, Pixels | None], None]
Starter: TypeAlias = Callable[[Kind, Heard], Apart]

log = logging.getLogger(__name__)


class LastingSource:
    """A camera or stream, as `LiveSource`. Each connection is a process of its own (`Apart`), which is killed
    where it hangs, and begun before it is needed. A file ends with its first connection.

    `starter` begins such a process.
    """

    def __init__(self, name: str, address: Address, options: SourceOptions, starter: Starter = Apart) -> None:
        self.name, self.shown = name, address.shown
        self._address, self._options, self._starter = address, options, starter
        self._once = address.kind is Kind.FILE
        self._watched = replace(options, stall=0, frozen=0, read_timeout=LONGEST) if self._once else options
        self._like = (State.OPENING, "")
        self._info: StreamInfo | None = None
        self._tracks: Sequence[Track] = ()
        self._counts = self._counts_before = SourceCounts()
        self._epoch = self._number = -1
        self._opened = 0
        self._give: Give | None = None
        self._give_packet: GivePacket | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._stillness, self._anew_for = Stillness(), -1.0
        self._watch = Watch(self._watched, self._stillness, 0.0)
        self._end: Over | None = None
        self._current = object()

    @property
    def state(self) -> State:
        """What it is like now."""
        return self._like[0]

    @property
    def said(self) -> str:
        """Why, without credentials."""
        return self._like[1]

    @property
    def info(self) -> StreamInfo | None:
        """Of the last connection that had a picture."""
        return self._info

    @property
    def tracks(self) -> Sequence[Track]:
        """Its streams."""
        return self._tracks

    @property
    def counts(self) -> SourceCounts:
        """Of all connections."""
        return self._counts

    def start(self, give: Give, packets: GivePacket | None = None) -> None:
        """Begins to connect; a second call does nothing."""
        if self._thread is None and not self._over.is_set():
            self._give, self._give_packet = give, packets
            self._thread = threading.Thread(target=self._run, name=f"source {self.name}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends it for good."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(JOIN)
        self._like = (State.ENDED, self.said)

    # One thread connects, watches, and connects again.

    def _run(self) -> None:
        waits = BackOff(self._options, np.random.default_rng(self._options.seed))
        wait = 0.0
        while not self._over.is_set():
            end, lived = self._connection(wait)
            if self._over.is_set():
                return
            if end.why is Why.ENDED or self._once:
                self._set(State.ENDED, end.text)
                return
            self._set(State.FROZEN if end.why is Why.STILL else State.AWAY, end.text)
            if end.why is not Why.STILL:
                self._stillness.forget()
            wait = waits.next(lived, end.why is Why.REFUSED)

    def _connection(self, wait: float) -> tuple[Over, float]:
        """One connection, `wait` seconds from now: how it ended, and how long it had pictures."""
        current = self._current = object()

        def heard(message: Message, pixels: Pixels | None) -> None:
            if self._current is current and not self._over.is_set():
                self._hear(message, pixels)

        try:
            apart = self._starter(self._address.kind, heard)
        except OSError as error:
            self._over.wait(max(wait, self._options.retry_first))
            return Over(Why.LOST, f"no process can be started to read from it ({error.strerror})"), 0.0
        try:
            if self._over.wait(wait):
                return Over(Why.ENDED), 0.0
            self._end = None
            self._counts_before = self._counts
            self._watch = Watch(self._watched, self._stillness, time.monotonic())
            apart.read(Task(self._address, self._options, self._give_packet is not None, ""))
            end = self._attend(apart)
        finally:
            apart.stop()
        return end, self._watch.lived

    def _attend(self, apart: Apart) -> Over:
        """Looks at a connection until it is over, or to be given up."""
        while not apart.over.wait(TICK):
            if self._over.is_set():
                return Over(Why.ENDED)
            seen = self._watch.look(time.monotonic())
            if seen.give_up is not None and (seen.state is not State.FROZEN or self._first_of_its_kind()):
                return seen.give_up
            if seen.state is not State.OPENING:
                self._set(seen.state, seen.said)
        return self._end or Over(Why.LOST, "its reader ended without a word")

    def _first_of_its_kind(self) -> bool:
        """Whether the picture that stands still is not the one the source was opened anew for already."""
        since = self._stillness.since()[0]
        before, self._anew_for = self._anew_for, since
        return since != before

    def _set(self, state: State, said: str) -> None:
        said = self._address.hide(said)
        if (state, said) != self._like:
            before, self._like = self._like, (state, said)
            if state is State.LIVE:
                log.log(
                    logging.INFO if before[0] is State.OPENING else logging.WARNING, "%s is live", self.name
                )
            elif state is State.ENDED:
                log.info("%s: %s", self.name, said)
            else:
                log.warning("%s is %s: %s", self.name, state.value, said)

    # Another thread hears of what comes.

    def _hear(self, message: Message, pixels: Pixels | None) -> None:
        now = time.monotonic()
        if isinstance(message, Began):
            self._watch.began(now)
        elif isinstance(message, Opened):
            self._open(message)
        elif isinstance(message, Coded):
            if self._give_packet is not None:
                self._give_packet(replace(message.packet, epoch=self._epoch))
        elif isinstance(message, Noted):
            log.warning("%s: %s", self.name, self._address.hide(message.text))
        elif isinstance(message, Over):
            self._end = message
        elif pixels is not None:
            self._take(pixels, message.facts, now)

    def _open(self, opened: Opened) -> None:
        """A new connection, or another kind of picture in the same one."""
        self._epoch += 1
        if not self._watch.alive:
            self._opened += 1
            again = replace(self._counts, reconnects=self._opened - 1)
            self._counts, self._counts_before = (
                again,
                replace(self._counts_before, reconnects=self._opened - 1),
            )
        self._info, self._tracks = opened.info, opened.tracks
        if opened.device:
            self._address = replace(self._address, url=opened.device)

    def _take(self, pixels: Pixels, facts: Facts, now: float) -> None:
        before = self._counts_before
        self._counts = replace(
            before, decoded=before.decoded + facts.counts[0], held=before.held + facts.counts[1]
        )
        self._watch.frame(pixels, facts.pts, facts.held, now)
        self._number += 1
        frame = Frame(pixels, facts.pts, facts.time_base, facts.duration, facts.colour, held=facts.held)
        assert self._give is not None
        self._give(Taken(frame, self._number, self._epoch, facts.arrived))
