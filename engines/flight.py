"""What an engine that computes on a device may offer beyond Engine: frames in flight, states kept there.

Who uses an engine asks `isinstance(engine, InFlight)` and `isinstance(engine, Holder)`; engines on the CPU
are neither, and are used as Engine says.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from derain.engines.engine import Pixels, Scores, State, States


class Ticket(Protocol):
    """Work that was started."""

    def wait(self) -> Pixels:
        """What the work gives, once it is there; a second call gives the same again.

        Raises DerainError where it failed, and where what it was started with was closed meanwhile.
        """
        ...


@runtime_checkable
class InFlight(Protocol):
    """An engine that takes batches before it has given those before them. One thread at a time.

    Batches come to their ends in the order in which they were started; one that fails, or that nobody waits
    for, keeps none behind it from its own.
    """

    @property
    def in_flight(self) -> int:
        """How many batches it works on at a time: one more waits for the first. 1: none is overlapped."""
        ...

    def start(
        self,
        batch: Pixels,
        out: Pixels | None = None,
        states: States = (),
        scores: Scores | None = None,
    ) -> Ticket:
        """Begins what `Engine.infer` does; the ticket gives what that gives.

        `batch` and the states that are read are free again on return. What is written is whole once the
        ticket was waited for, and is the engine's until then. Raises as `infer` does, MemoryShortError too;
        nothing was begun then.
        """
        ...


class Held(Protocol):
    """The states of a recurrent network for the frames of one source and size, kept where it computes.

    Zero at first. Closing the engine closes it; use after that raises DerainError.
    """

    def infer(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Pixels:
        """`Engine.infer` with these states; what it has written is read from `turn` on, not before, so that
        a call that failed can be made again."""
        ...

    def turn(self) -> None:
        """The frame is done: what was written is read for the next."""
        ...

    def reset(self) -> None:
        """Zero again."""
        ...

    def read(self) -> list[State]:
        """Copies of what would be read now, in the order of the engine's states."""
        ...

    def write(self, states: Sequence[State]) -> None:
        """`states`, in the order of the engine's, are what is read next, as `read` gives them."""
        ...

    def close(self) -> None:
        """Frees their memory; a second call does nothing."""
        ...


@runtime_checkable
class HeldInFlight(Held, Protocol):
    """States of an engine that takes the next frame before it has given the one before. See InFlight."""

    def start(self, batch: Pixels, out: Pixels | None = None, scores: Scores | None = None) -> Ticket:
        """Begins what `infer` and `turn` do: what is begun later, a `reset` too, finds them done.

        Raises as `infer` does; nothing was begun then.
        """
        ...


@runtime_checkable
class Holder(Protocol):
    """An engine that can keep the states of its network."""

    def hold(self, count: int, height: int, width: int) -> Held:
        """States for batches of `count` frames of that size. Raises MemoryShortError, DerainError."""
        ...
