"""The seam over a `Driver`: what a device gave is counted, checked before use, and released once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from mmap import PAGESIZE
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from derain.engines.device.driver import Driver, Graphs
from derain.engines.device.seam import Buffer, DeviceFacts, DeviceMemoryError, Event, HostArray, Stream
from derain.engines.errors import DerainError

MIB = 2**20

G = TypeVar("G", bound="Given")


class Given(ABC):
    """Something a device gave: `close` releases it, in the device's context, at the latest when the device
    closes."""

    what = "thing"

    def __init__(self, device: "DriverDevice", raw: Any) -> None:
        self.device = device
        self._raw = raw
        device.given[self] = None

    @property
    def raw(self) -> Any:
        """The driver's own."""
        if self._raw is None:
            raise DerainError(f"this {self.what} is closed, and can no longer be used")
        return self._raw

    def close(self) -> None:
        if self._raw is None:
            return
        with self.device.current():
            raw, self._raw = self._raw, None
            self.device.given.pop(self, None)
            self.release(raw)

    def forget(self) -> None:
        """Without releasing it."""
        self._raw = None

    @abstractmethod
    def release(self, raw: Any) -> None:
        """Gives it back to the driver."""


class DeviceBuffer(Given):
    what = "buffer"

    def __init__(self, device: "DriverDevice", raw: Any, nbytes: int) -> None:
        super().__init__(device, raw)
        self._nbytes = nbytes

    @property
    def pointer(self) -> int:
        return self.device.driver.address(self.raw)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def free(self) -> None:
        self.close()

    def release(self, raw: Any) -> None:
        self.device.driver.free(raw)


class DevicePin(Given):
    """Memory of the host that is page-locked; it outlives the lock as long as anybody looks at it."""

    what = "array"

    def __init__(self, device: "DriverDevice", memory: HostArray) -> None:
        super().__init__(device, device.driver.pin(memory))
        self._memory = memory

    def release(self, raw: Any) -> None:
        self.device.driver.unpin(raw)


class DeviceEvent(Given):
    what = "event"

    def done(self) -> bool:
        with self.device.current():
            return self.device.driver.done(self.raw)

    def synchronize(self) -> None:
        with self.device.current():
            self.device.driver.finish_event(self.raw)

    def milliseconds_since(self, earlier: Event) -> float:
        with self.device.current():
            return self.device.driver.milliseconds(self.device.mine(earlier, DeviceEvent).raw, self.raw)

    def release(self, raw: Any) -> None:
        self.device.driver.drop_event(raw)


class DeviceGraph(Given):
    what = "graph"

    def __init__(self, device: "DriverDevice", graphs: Graphs, raw: Any, arrays: list[HostArray]) -> None:
        super().__init__(device, raw)
        self._graphs = graphs
        self._arrays = arrays
        """Of the captured copies, which must not end before the graph."""

    def launch(self, stream: Stream) -> None:
        with self.device.current():
            self._graphs.launch(self.raw, self.device.mine(stream, DeviceStream).raw)

    def release(self, raw: Any) -> None:
        self._graphs.drop_graph(raw)


class DeviceStream(Given):
    what = "stream"

    def __init__(self, device: "DriverDevice", raw: Any) -> None:
        super().__init__(device, raw)
        self._arrays: list[HostArray] | None = None
        """Of the copies captured so far."""

    @property
    def handle(self) -> int:
        return self.device.driver.handle(self.raw)

    def record(self, event: Event) -> None:
        self._refuse_capture("record an event")
        with self.device.current():
            self.device.driver.record(self.device.mine(event, DeviceEvent).raw, self.raw)

    def wait(self, event: Event) -> None:
        self._refuse_capture("wait for an event")
        with self.device.current():
            self.device.driver.wait(self.raw, self.device.mine(event, DeviceEvent).raw)

    def synchronize(self) -> None:
        self._refuse_capture("be waited for")
        with self.device.current():
            self.device.driver.finish(self.raw)

    def _refuse_capture(self, what: str) -> None:
        if self._arrays is not None:
            raise DerainError(f"a stream can't {what} between begin_capture and end_capture")

    def note(self, array: HostArray) -> None:
        """Holds a copy's array where the copy is captured."""
        if self._arrays is not None:
            self._arrays.append(array)

    def begin_capture(self) -> None:
        graphs = self.device.driver.graphs
        if graphs is None:
            raise DerainError(f"{self.device.name} has no graphs: put the work in anew each time")
        self._refuse_capture("begin to capture")
        with self.device.current():
            graphs.begin_capture(self.raw)
        self._arrays = []

    def end_capture(self) -> DeviceGraph:
        graphs = self.device.driver.graphs
        if self._arrays is None or graphs is None:
            raise DerainError("end_capture of a stream that does not capture")
        arrays, self._arrays = self._arrays, None
        with self.device.current():
            return DeviceGraph(self.device, graphs, graphs.end_capture(self.raw), arrays)

    def settle(self) -> None:
        """Its work is done, a capture ended."""
        if self._arrays is not None:
            self.end_capture().close()
        self.synchronize()

    def close(self) -> None:
        if self._raw is not None:
            try:
                self.settle()
            finally:
                super().close()

    def release(self, raw: Any) -> None:
        self.device.driver.drop_stream(raw)


class DriverDevice:
    """A device as `seam.Device` says, over a driver that is its own."""

    def __init__(self, driver: Driver) -> None:
        self.name = driver.name
        self.graphs = driver.graphs is not None
        self.driver = driver
        self.given: dict[Given, None] = {}
        self._closed = False

    @property
    def facts(self) -> DeviceFacts:
        return self.driver.facts

    def current(self) -> AbstractContextManager[None]:
        if self._closed:
            raise DerainError(f"the device {self.driver.facts.name} is closed, and can no longer be used")
        return self.driver.current()

    def mine(self, given: object, kind: type[G]) -> G:
        if not isinstance(given, kind) or given.device is not self:
            raise DerainError(f"this {kind.what} is not of the device {self.driver.facts.name}")
        return given

    def allocate(self, nbytes: int) -> DeviceBuffer:
        if nbytes < 1:
            raise DerainError(f"{nbytes} bytes can't be allocated: a buffer has one at least")
        try:
            with self.current():
                return DeviceBuffer(self, self.driver.allocate(nbytes), nbytes)
        except DeviceMemoryError as error:
            wanted, free = nbytes / MIB, self.free_memory() / MIB
            reason = f"has no room for {wanted:.1f} MiB, {free:.1f} MiB are free: {error}"
            raise DeviceMemoryError(f"{self.driver.facts.name} {reason}") from error

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> HostArray:
        nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        memory = whole_pages(nbytes)
        with self.current():
            DevicePin(self, memory)
        return memory[:nbytes].view(dtype).reshape(shape)

    def stream(self) -> DeviceStream:
        with self.current():
            return DeviceStream(self, self.driver.stream())

    def event(self, timing: bool = False) -> DeviceEvent:
        with self.current():
            return DeviceEvent(self, self.driver.event(timing))

    def upload(self, array: HostArray, buffer: Buffer, stream: Stream) -> None:
        into, inside = self._fitting(buffer, array.nbytes), self.mine(stream, DeviceStream)
        if not array.flags.c_contiguous:
            raise DerainError("only an array that is contiguous in memory can be copied to a device")
        with self.current():
            self.driver.upload(array, into.raw, inside.raw)
        inside.note(array)

    def download(self, buffer: Buffer, array: HostArray, stream: Stream) -> None:
        source, inside = self._fitting(buffer, array.nbytes), self.mine(stream, DeviceStream)
        if not (array.flags.c_contiguous and array.flags.writeable):
            raise DerainError("only a writeable array that is contiguous in memory can be filled by a device")
        with self.current():
            self.driver.download(source.raw, array, inside.raw)
        inside.note(array)

    def copy(self, source: Buffer, target: Buffer, nbytes: int, stream: Stream) -> None:
        first, second = self._fitting(source, nbytes), self._fitting(target, nbytes)
        with self.current():
            self.driver.copy(first.raw, second.raw, nbytes, self.mine(stream, DeviceStream).raw)

    def zero(self, buffer: Buffer, stream: Stream) -> None:
        whole = self.mine(buffer, DeviceBuffer)
        with self.current():
            self.driver.zero(whole.raw, whole.nbytes, self.mine(stream, DeviceStream).raw)

    def _fitting(self, buffer: Buffer, nbytes: int) -> DeviceBuffer:
        found = self.mine(buffer, DeviceBuffer)
        if nbytes > found.nbytes:
            raise DerainError(f"{nbytes} bytes were to be copied, but the buffer has {found.nbytes}")
        return found

    def free_memory(self) -> int:
        with self.current():
            return self.driver.free_memory()

    def close(self) -> None:
        """Raises the first of what went wrong, after all that could be released was."""
        if self._closed:
            return
        given = list(reversed(self.given))
        streams = [one for one in given if isinstance(one, DeviceStream)]
        errors = [
            *problems(stream.settle for stream in streams),
            *problems(one.close for one in given),
            *problems([self.driver.close]),
        ]
        self._closed = True
        for one in given:
            one.forget()
        if errors:
            raise errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        found = problems([self.close])
        if found and error is None:  # what went wrong first is what the user should read
            raise found[0]


def whole_pages(nbytes: int) -> npt.NDArray[np.uint8]:
    """Zeros that begin and end with a page, the least a driver can lock, and share none with other memory."""
    size = max(1, -(-nbytes // PAGESIZE)) * PAGESIZE
    memory = np.zeros(size + PAGESIZE, np.uint8)
    start = -memory.ctypes.data % PAGESIZE
    return memory[start : start + size]


def problems(steps: Iterable[Callable[[], None]]) -> list[DerainError]:
    """Every step is taken; what each that failed raised."""
    found = []
    for step in steps:
        try:
            step()
        except DerainError as error:
            found.append(error)
    return found
