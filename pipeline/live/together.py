"""One engine for many cameras: what they begin together is one batch."""

import logging
from collections.abc import Sequence

import numpy as np

from derain.engines.engine import Engine, Pixels, Scores, State, States
from derain.engines.errors import MemoryShortError
from derain.engines.flight import Held, Holder, InFlight, Ticket

log = logging.getLogger(__name__)

MOST_PIXELS = 1 << 20
"""Pixels of a batch at most: larger frames keep all cores busy one by one, and each shape takes memory."""


class Together:
    """Takes batches before it has given those before, whatever `engine` it is of; see InFlight, Holder.

    Where `engine` is of a device and takes several by itself, it gets them as they come. Any other computes
    once somebody waits: batches of one shape that were begun by then in one call. `cameras`: how many begin
    them. The caller closes `engine`. One thread at a time.
    """

    def __init__(self, engine: Engine, cameras: int) -> None:
        self._cameras = cameras
        self._begun: list[_Begun] = []
        self.take(engine)

    def take(self, engine: Engine) -> None:
        """`engine` computes from now on, nothing being in flight."""
        self.engine = engine
        self.card, self.states = engine.card, engine.states
        self.backend, self.precision = engine.backend, engine.precision
        self.precision_reason, self.backend_reason = engine.precision_reason, engine.backend_reason
        self.channels, self.gives_scores = engine.channels, engine.gives_scores

    @property
    def in_flight(self) -> int:
        """How many batches may be begun at a time."""
        return self.engine.in_flight if isinstance(self.engine, InFlight) else self._cameras

    def together(self, pixels: int, alike: int) -> tuple[int, ...]:
        """How many frames of so many pixels are begun together, the most first, where `alike` cameras give
        such: any number that can be in flight; else one or a power of two, as each is compiled for."""
        if isinstance(self.engine, InFlight):
            return tuple(range(self.engine.in_flight, 0, -1))
        most = max(1, min(alike, MOST_PIXELS // max(1, pixels)))
        return tuple(dict.fromkeys((1 << (most.bit_length() - 1), 1)))

    def start(
        self, batch: Pixels, out: Pixels | None = None, states: States = (), scores: Scores | None = None
    ) -> Ticket:
        """See InFlight; `batch` stays as it is until the ticket was waited for."""
        if isinstance(self.engine, InFlight):
            return self.engine.start(batch, out, states, scores)
        begun = _Begun(self, batch, out, states, scores)
        self._begun.append(begun)
        return begun

    def infer(
        self, batch: Pixels, out: Pixels | None = None, states: States = (), scores: Scores | None = None
    ) -> Pixels:
        """See Engine."""
        return self.engine.infer(batch, out, states, scores)

    def hold(self, count: int, height: int, width: int) -> Held:
        """See Holder; in the host's memory where the engine holds none."""
        if isinstance(self.engine, Holder):
            return self.engine.hold(count, height, width)
        return HeldHere(self, count, height, width)

    def compute(self, wanted: "_Begun") -> None:
        """Brings `wanted` to its end, and with it what was begun of its shape."""
        group = [begun for begun in self._begun if begun.batch.shape == wanted.batch.shape]
        self._begun = [begun for begun in self._begun if begun not in group]
        if len(group) > 1:
            try:
                self._compute(group)
                return
            except MemoryShortError:
                log.warning("the memory is too short for %d frames together", len(group))
        wanted.given = self.infer(wanted.batch, wanted.out, wanted.states, wanted.scores)

    def _compute(self, group: "Sequence[_Begun]") -> None:
        batch = np.concatenate([begun.batch for begun in group])
        states = [
            (np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs]))
            for pairs in zip(*(begun.states for begun in group), strict=True)
        ]
        first = group[0].scores
        scores = None if first is None else np.empty((len(batch), *first.shape[1:]), np.float32)
        restored = self.engine.infer(batch, None, states, scores)
        at = 0
        for begun in group:
            here = slice(at, at + len(begun.batch))
            begun.receive(
                restored[here],
                [written[here] for _, written in states],
                None if scores is None else scores[here],
            )
            at = here.stop

    def close(self) -> None:
        """Whoever opened the engine closes it."""

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Begun:
    """A batch that was begun, and its ticket."""

    def __init__(
        self, owner: Together, batch: Pixels, out: Pixels | None, states: States, scores: Scores | None
    ) -> None:
        self.batch, self.out, self.states, self.scores = batch, out, states, scores
        self.given: Pixels | None = None
        self._owner = owner

    def wait(self) -> Pixels:
        """See Ticket."""
        if self.given is None:
            self._owner.compute(self)
        assert self.given is not None, "it was computed, or an error came"
        return self.given

    def receive(self, restored: Pixels, states: Sequence[State], scores: Scores | None) -> None:
        """Its part of what a batch of several gave."""
        if self.out is None:
            self.out = restored
        else:
            self.out[...] = restored
        for (_, written), state in zip(self.states, states, strict=True):
            written[...] = state
        if self.scores is not None and scores is not None:
            self.scores[...] = scores
        self.given = self.out


class HeldHere:
    """The states of one camera in the host's memory. See HeldInFlight."""

    def __init__(self, owner: Together, count: int, height: int, width: int) -> None:
        self._owner = owner
        shapes = [spec.shape(count, height, width) for spec in owner.states]
        self._pairs = [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]

    def infer(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Pixels:
        """See Held."""
        return self._owner.infer(batch, out, self._pairs, scores)

    def start(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Ticket:
        """See HeldInFlight; a camera has one frame in flight."""
        return _Turning(self, self._owner.start(batch, out, self._pairs, scores))

    def turn(self) -> None:
        """See Held."""
        self._pairs = [(written, read) for read, written in self._pairs]

    def reset(self) -> None:
        """See Held."""
        for read, _ in self._pairs:
            read.fill(0)

    def read(self) -> list[State]:
        """See Held."""
        return [read.copy() for read, _ in self._pairs]

    def write(self, states: Sequence[State]) -> None:
        """See Held."""
        for (read, _), state in zip(self._pairs, states, strict=True):
            read[...] = state

    def close(self) -> None:
        """See Held."""
        self._pairs = []


class _Turning:
    """A ticket that turns the states once its frame is done."""

    def __init__(self, held: HeldHere, ticket: Ticket) -> None:
        self._held, self._ticket = held, ticket
        self._turned = False

    def wait(self) -> Pixels:
        """See Ticket."""
        given = self._ticket.wait()
        if not self._turned:
            self._turned = True
            self._held.turn()
        return given
