"""What an engine needs of a device: memory, streams, events and, where there are any, graphs.

`host.py` is the host's own memory, `cuda.py` the package cuda.bindings, `pycuda.py` the package pycuda; one
suite of tests holds all of them to what is said here. Any thread may use a device, one at a time; only
`Device.free_memory` may be called beside others. Every call leaves the thread's CUDA context as it found it.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy.typing as npt

from derain.engines.errors import MemoryShortError

HostArray = npt.NDArray[Any]
"""C-contiguous; copies are whole and of its bytes. From `Device.pinned` they run beside other work, from
elsewhere they may wait for the stream."""


class DeviceMemoryError(MemoryShortError):
    """The device has no room for what was asked for; less may fit."""


@dataclass(frozen=True)
class DeviceFacts:
    """`capability`: (major, minor). `driver`: the CUDA version it speaks, (13, 1) say. Of the host both are
    (0, 0). `memory`: bytes in all."""

    name: str
    capability: tuple[int, int]
    driver: tuple[int, int]
    memory: int


class Buffer(Protocol):
    """Device memory of `nbytes` at `pointer`, freed once; `free` is idempotent."""

    @property
    def pointer(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    def free(self) -> None: ...


class Event(Protocol):
    """A place in a stream's work. One that was never recorded is done."""

    def done(self) -> bool:
        """Whether the stream has come past it."""
        ...

    def synchronize(self) -> None:
        """Waits until it is done; raises DerainError where work before it failed."""
        ...

    def milliseconds_since(self, earlier: "Event") -> float:
        """Between two that are done and were made with timing=True."""
        ...

    def close(self) -> None: ...


class Graph(Protocol):
    """Work that was captured, to be launched again as one."""

    def launch(self, stream: "Stream") -> None: ...

    def close(self) -> None: ...


class Stream(Protocol):
    """Work in order, never the device's default stream; closing waits for it, use after that raises
    DerainError."""

    @property
    def handle(self) -> int:
        """What a runtime takes as cudaStream_t."""
        ...

    def record(self, event: Event) -> None: ...

    def wait(self, event: Event) -> None:
        """Work put in from now on begins after `event`; the caller does not wait."""
        ...

    def synchronize(self) -> None:
        """Waits until all its work is done; raises DerainError where any failed."""
        ...

    def begin_capture(self) -> None:
        """What is put in from now on is noted, not done: copies between pinned arrays and buffers, and what
        a runtime puts in. Waiting for the stream or an event, and recording one, raise DerainError meanwhile.
        No memory is taken or freed then, and the thread that began ends it.

        Raises DerainError without `Device.graphs`.
        """
        ...

    def end_capture(self) -> Graph: ...

    def close(self) -> None: ...


class Device(Protocol):
    """One device. Closing frees what it gave and is idempotent; use after close raises DerainError."""

    name: str
    """Of the implementation: "host", "cuda" or "pycuda"."""
    graphs: bool
    """Whether streams can capture."""

    @property
    def facts(self) -> DeviceFacts: ...

    def current(self) -> AbstractContextManager[None]:
        """Within it the device is the calling thread's, as a runtime's own calls need it."""
        ...

    def allocate(self, nbytes: int) -> Buffer:
        """At least one byte. Raises DeviceMemoryError."""
        ...

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> HostArray:
        """A page-locked array on the host, zeroed. The device holds it until it is closed; who holds it
        longer has an ordinary array.

        Raises DeviceMemoryError.
        """
        ...

    def stream(self) -> Stream: ...

    def event(self, timing: bool = False) -> Event: ...

    def upload(self, array: HostArray, buffer: Buffer, stream: Stream) -> None:
        """The array's bytes into the buffer's first, in the stream's order. Raises DerainError
        where they don't fit."""
        ...

    def download(self, buffer: Buffer, array: HostArray, stream: Stream) -> None:
        """The buffer's first bytes into the array, which is filled once the stream is past it."""
        ...

    def copy(self, source: Buffer, target: Buffer, nbytes: int, stream: Stream) -> None: ...

    def zero(self, buffer: Buffer, stream: Stream) -> None:
        """All its bytes."""
        ...

    def free_memory(self) -> int:
        """Bytes free on the device now."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
