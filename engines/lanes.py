"""Batches on their way through a device: up, through the network and down, each way in a stream of its own.

A lane is the room for one batch: pinned arrays, device buffers, a context, and the events that let the three
streams work on three batches at a time. A batch goes up while the one before it is computed, and the one
before that comes down.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from derain.engines.build import Shape
from derain.engines.device.seam import Buffer, Device, HostArray, Stream
from derain.engines.edges import PIXELS_IN, PIXELS_OUT
from derain.engines.engine import Pixels, Scores, State, States
from derain.engines.errors import DerainError
from derain.engines.maps import SCORES
from derain.engines.trt_context import Repeated, Shapes


class StateEnd(NamedTuple):
    """A state of a network: the input and output that it is, and its shape in a batch."""

    taken: str
    given: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Of one, float32."""
        return 4 * math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The ends of a network for batches of `shape`: pixels of `dtype`, `channels` of them given; `scores`:
    their shape, None where it gives none."""

    shape: Shape
    dtype: np.dtype[Any]
    channels: int
    states: tuple[StateEnd, ...]
    scores: tuple[int, ...] | None

    def inputs(self) -> Shapes:
        """As the runtime has them: it knows pixels as bytes."""
        pixels = (*self.shape, 3 * self.dtype.itemsize)
        return {PIXELS_IN: pixels} | {state.taken: state.shape for state in self.states}

    def outputs(self) -> Shapes:
        """As the runtime has them."""
        pixels = (*self.shape, self.channels * self.dtype.itemsize)
        scores = {} if self.scores is None else {SCORES: self.scores}
        return {PIXELS_OUT: pixels} | {state.given: state.shape for state in self.states} | scores


class Pool:
    """Pinned arrays that are used again: a device frees none before it is closed itself."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._free: list[HostArray] = []

    def take(self, shape: tuple[int, ...], dtype: npt.DTypeLike, stack: ExitStack) -> HostArray:
        """An array that `stack` gives back; its content is anything. Raises DeviceMemoryError."""
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        fitting = [array for array in self._free if nbytes <= array.nbytes <= 2 * nbytes]
        if fitting:
            whole = min(fitting, key=lambda array: array.nbytes)
            self._free = [array for array in self._free if array is not whole]
        else:
            whole = self._device.pinned((1 << (nbytes - 1).bit_length(),), np.uint8)
        stack.callback(self._free.append, whole)
        return whole[:nbytes].view(dtype).reshape(shape)


@dataclass(frozen=True)
class Ways:
    """A device's streams for what goes up, is computed and comes down."""

    device: Device
    up: Stream
    through: Stream
    down: Stream
    pool: Pool

    @classmethod
    @contextmanager
    def opened(cls, device: Device) -> Iterator["Ways"]:
        """Closed in the end, whatever became of the work."""
        with ExitStack() as stack:
            up, through, down = (device.stream() for _ in range(3))
            for stream in (up, through, down):
                stack.callback(_let_go, stream)
            yield cls(device, up, through, down, Pool(device))

    def settle(self) -> None:
        """Waits until all is done or has failed; who asked for what failed is told when he waits for it."""
        for stream in (self.up, self.through, self.down):
            with suppress(DerainError):
                stream.synchronize()


class Lane:
    """Room for one batch of a layout. `begin` and `finish` take turns. Raises DeviceMemoryError.

    `work`: what the network does, for this lane alone; it is closed with it.
    """

    def __init__(self, ways: Ways, layout: Layout, work: Repeated) -> None:
        self._ways, self._layout, self._work = ways, layout, work
        with ExitStack() as stack:
            self._make_room(stack)
            stack.callback(work.close)
            stack.callback(ways.settle)
            self._stack = stack.pop_all()

    def _make_room(self, stack: ExitStack) -> None:
        layout, (device, pool) = self._layout, (self._ways.device, self._ways.pool)
        pixels = math.prod(layout.shape) * layout.dtype.itemsize
        self._buffers = {PIXELS_IN: allocated(device, 3 * pixels, stack)}
        self._buffers[PIXELS_OUT] = allocated(device, layout.channels * pixels, stack)
        self._rainy = pool.take((*layout.shape, 3), layout.dtype, stack)
        self._restored = pool.take((*layout.shape, layout.channels), layout.dtype, stack)
        self._scores: HostArray | None = None
        if layout.scores is not None:
            self._buffers[SCORES] = allocated(device, 4 * math.prod(layout.scores), stack)
            self._scores = pool.take(layout.scores, np.float32, stack)
        self._states: list[tuple[HostArray, HostArray]] = []
        self._state_buffers: list[tuple[Buffer, Buffer]] = []
        self._later = ExitStack()
        stack.push(self._later)
        events = [device.event() for _ in range(3)]
        for event in events:
            stack.callback(event.close)
        self._up, self._through, self._down = events

    def begin(
        self, batch: Pixels, states: States = (), held: Sequence[tuple[Buffer, Buffer]] | None = None
    ) -> None:
        """Puts the work on `batch` into the streams; `batch` and what is read of `states` are free again.

        `held`: states that lie on the device, in place of `states`. Raises DerainError, DeviceMemoryError;
        nothing is left in the streams then.
        """
        ways = self._ways
        try:
            np.copyto(self._rainy, batch)
            ways.device.upload(self._rainy, self._buffers[PIXELS_IN], ways.up)
            if held is None:
                held = self._state_room()
                for (read, _), (staged, _), (buffer, _) in zip(states, self._states, held, strict=True):
                    np.copyto(staged, read)
                    ways.device.upload(staged, buffer, ways.up)
            ways.up.record(self._up)
            ways.through.wait(self._up)
            self._compute(held)
            ways.through.record(self._through)
            ways.down.wait(self._through)
            self._fetch(states)
            ways.down.record(self._down)
        except BaseException:
            ways.settle()
            raise

    def finish(self, out: Pixels, states: States = (), scores: Scores | None = None) -> None:
        """Waits for the batch and puts what came of it there. Raises DerainError where it failed."""
        self._down.synchronize()
        np.copyto(out, self._restored)
        for (_, written), (_, staged) in zip(states, self._states, strict=False):
            np.copyto(written, staged)
        if scores is not None and self._scores is not None:
            np.copyto(scores, self._scores)

    def close(self) -> None:
        """Gives everything back; nothing of it is at work."""
        self._stack.close()

    def _fetch(self, states: States) -> None:
        device, down = self._ways.device, self._ways.down
        device.download(self._buffers[PIXELS_OUT], self._restored, down)
        if self._scores is not None:
            device.download(self._buffers[SCORES], self._scores, down)
        if states:
            for (_, staged), (_, buffer) in zip(self._states, self._state_buffers, strict=True):
                device.download(buffer, staged, down)

    def _state_room(self) -> list[tuple[Buffer, Buffer]]:
        """For states that come from the host, made when the first do."""
        if len(self._state_buffers) < len(self._layout.states):
            with ExitStack() as stack:
                arrays, buffers = [], []
                for state in self._layout.states:
                    pair = [self._ways.pool.take(state.shape, np.float32, stack) for _ in range(2)]
                    arrays.append((pair[0], pair[1]))
                    buffers.append(state_pair(self._ways.device, state, stack))
                self._states, self._state_buffers = arrays, buffers
                self._later.push(stack.pop_all())
        return self._state_buffers

    def _compute(self, held: Sequence[tuple[Buffer, Buffer]]) -> None:
        """Runs the network on what lies in the buffers."""
        addresses = {name: buffer.pointer for name, buffer in self._buffers.items()}
        for state, (read, written) in zip(self._layout.states, held, strict=True):
            addresses |= {state.taken: read.pointer, state.given: written.pointer}
        self._work.run(addresses, self._ways.through)


class HeldOnDevice:
    """States of a recurrent network for batches of one shape, on the device: what is read, and beside it what
    is written. See flight.Held, whose `infer` the engine gives."""

    def __init__(self, ways: Ways, ends: Sequence[StateEnd]) -> None:
        self._ways, self.ends = ways, ends
        with ExitStack() as stack:
            self.buffers = [state_pair(ways.device, end, stack) for end in ends]
            self._stack = stack.pop_all()
        self.reset()

    def turn(self) -> None:
        """Copied rather than exchanged, next to nothing in time: graphs are of fixed addresses."""
        for end, (read, written) in zip(self.ends, self.buffers, strict=True):
            self._ways.device.copy(written, read, end.nbytes, self._ways.through)

    def reset(self) -> None:
        """Zero again."""
        for read, _ in self.buffers:
            self._ways.device.zero(read, self._ways.through)

    def read(self) -> list[State]:
        """Copies of what is read next."""
        found = [np.empty(end.shape, np.float32) for end in self.ends]
        for array, (buffer, _) in zip(found, self.buffers, strict=True):
            self._ways.device.download(buffer, array, self._ways.through)
        self._ways.through.synchronize()
        return found

    def write(self, states: Sequence[State]) -> None:
        """They are what is read next."""
        for array, (buffer, _) in zip(states, self.buffers, strict=True):
            self._ways.device.upload(array, buffer, self._ways.through)
        self._ways.through.synchronize()

    def close(self) -> None:
        """Frees the memory once nothing works in it."""
        self._ways.settle()
        self._stack.close()


def _let_go(stream: Stream) -> None:
    """Closes it; who asked for what failed in it was told."""
    with suppress(DerainError):
        stream.close()


def allocated(device: Device, nbytes: int, stack: ExitStack) -> Buffer:
    """A buffer that `stack` frees."""
    buffer = device.allocate(nbytes)
    stack.callback(buffer.free)
    return buffer


def state_pair(device: Device, state: StateEnd, stack: ExitStack) -> tuple[Buffer, Buffer]:
    """What it is read from and what its successor is written to; `stack` frees both."""
    return allocated(device, state.nbytes, stack), allocated(device, state.nbytes, stack)
