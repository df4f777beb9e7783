"""The host's own memory as a device, for machines without another and for tests.

It is as honest as a device is: nothing is done before somebody waits for it, or asks whether it is done,
which does one piece more each time. Who forgets to wait finds what was there before.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from derain.engines.device.given import DriverDevice
from derain.engines.device.seam import DeviceFacts, DeviceMemoryError, HostArray
from derain.engines.errors import DerainError

Bytes = npt.NDArray[np.uint8]
Work = Callable[[], None]

NEVER_WRITTEN = 0xA5
"""What fresh memory is full of."""


class HostStream:
    """Pieces of work in order. After one that failed nothing more is done."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._pieces: deque[Work] = deque()
        self._failure: DerainError | None = None
        self.captured: list[Work] | None = None

    def put(self, work: Work) -> None:
        (self._pieces if self.captured is None else self.captured).append(work)

    def step(self) -> bool:
        """Does one piece; whether there was one. Raises what a piece raised, from then on always."""
        if self._failure is not None:
            raise self._failure
        if not self._pieces:
            return False
        try:
            self._pieces.popleft()()
        except DerainError as error:
            self._failure = error
            raise
        return True

    def finish(self) -> None:
        while self.step():
            pass


class Place:
    """Between two pieces of a stream's work."""

    def __init__(self, stream: HostStream) -> None:
        self._stream = stream
        self.passed: float | None = None
        """When, in seconds."""
        stream.put(self._pass)

    def _pass(self) -> None:
        self.passed = time.perf_counter()

    def come_nearer(self) -> bool:
        """Does one piece where it isn't passed; whether it is now."""
        if self.passed is None:
            self._stream.step()
        return self.passed is not None

    def reach(self) -> None:
        while not self.come_nearer():
            pass


class HostEvent:
    def __init__(self, timing: bool) -> None:
        self.timing = timing
        self.place: Place | None = None

    def seconds(self) -> float:
        if not self.timing:
            raise DerainError("only events made with timing=True tell the time between them")
        if self.place is None or self.place.passed is None:
            raise DerainError("the time between two events is known when both were recorded and are done")
        return self.place.passed


class HostGraphs:
    def begin_capture(self, stream: HostStream) -> None:
        stream.captured = []

    def end_capture(self, stream: HostStream) -> list[Work]:
        captured, stream.captured = stream.captured, None
        return captured or []

    def launch(self, graph: list[Work], stream: HostStream) -> None:
        for work in graph:
            stream.put(work)

    def drop_graph(self, graph: list[Work]) -> None:
        pass


class HostDriver:
    name = "host"
    graphs = HostGraphs()

    def __init__(self, memory: int) -> None:
        self.facts = DeviceFacts("host memory", (0, 0), (0, 0), memory)
        self._free = memory
        self._handles = itertools.count(1)
        self.streams: dict[int, HostStream] = {}

    def current(self) -> AbstractContextManager[None]:
        return nullcontext()

    def free_memory(self) -> int:
        return self._free

    def close(self) -> None:
        self.streams.clear()

    def allocate(self, nbytes: int) -> Bytes:
        if nbytes > self._free:
            raise DeviceMemoryError("out of memory")
        try:
            allocation = np.full(nbytes, NEVER_WRITTEN, np.uint8)
        except MemoryError as error:
            raise DeviceMemoryError("out of memory") from error
        self._free -= nbytes
        return allocation

    def address(self, allocation: Bytes) -> int:
        return allocation.ctypes.data

    def free(self, allocation: Bytes) -> None:
        """After all work so far, as a CUDA driver does it."""
        self._free += allocation.nbytes
        for stream in self.streams.values():
            stream.finish()

    def pin(self, memory: HostArray) -> bool:
        return True

    def unpin(self, pinned: bool) -> None:
        pass

    def stream(self) -> HostStream:
        stream = HostStream(next(self._handles))
        self.streams[stream.handle] = stream
        return stream

    def handle(self, stream: HostStream) -> int:
        return stream.handle

    def finish(self, stream: HostStream) -> None:
        stream.finish()

    def drop_stream(self, stream: HostStream) -> None:
        del self.streams[stream.handle]

    def event(self, timing: bool) -> HostEvent:
        return HostEvent(timing)

    def record(self, event: HostEvent, stream: HostStream) -> None:
        event.place = Place(stream)

    def wait(self, stream: HostStream, event: HostEvent) -> None:
        if event.place is not None:
            stream.put(event.place.reach)

    def done(self, event: HostEvent) -> bool:
        return event.place is None or event.place.come_nearer()

    def finish_event(self, event: HostEvent) -> None:
        if event.place is not None:
            event.place.reach()

    def milliseconds(self, earlier: HostEvent, later: HostEvent) -> float:
        return (later.seconds() - earlier.seconds()) * 1000

    def drop_event(self, event: HostEvent) -> None:
        pass

    def upload(self, array: HostArray, allocation: Bytes, stream: HostStream) -> None:
        stream.put(lambda: copy_bytes(bytes_of(array), allocation))

    def download(self, allocation: Bytes, array: HostArray, stream: HostStream) -> None:
        target = bytes_of(array)
        stream.put(lambda: copy_bytes(allocation[: target.size], target))

    def copy(self, source: Bytes, target: Bytes, nbytes: int, stream: HostStream) -> None:
        stream.put(lambda: copy_bytes(source[:nbytes], target))

    def zero(self, allocation: Bytes, nbytes: int, stream: HostStream) -> None:
        stream.put(lambda: allocation.fill(0))


class HostDevice(DriverDevice):
    """`memory`: bytes that can be allocated; None: as much as the machine has."""

    def __init__(self, memory: int | None = None) -> None:
        self._host = HostDriver(psutil.virtual_memory().total if memory is None else memory)
        super().__init__(self._host)

    def put(self, handle: int, work: Work) -> None:
        """Work of a runtime into the stream of this handle; the stream fails where it raises DerainError."""
        if handle not in self._host.streams:
            raise DerainError(f"there is no open stream with the handle {handle}")
        self._host.streams[handle].put(work)


def bytes_of(array: npt.NDArray[Any]) -> Bytes:
    """The same memory."""
    return array.reshape(-1).view(np.uint8)


def copy_bytes(source: Bytes, target: Bytes) -> None:
    target[: source.size] = source


def count() -> int:
    return 1


def open_device(index: int) -> HostDevice:
    return HostDevice()
