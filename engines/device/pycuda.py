"""A GPU through the package pycuda: the primary context, which other packages in the process share.

pycuda has no CUDA graphs. It ends the process where a thread ends with a context on pycuda's stack, so every
call takes its own off again. Its streams and events end with their last reference, on a thread that has the
context: one `Held` has it. It can't page-lock a NumPy array of today (github.com/inducer/pycuda/issues/459):
that is asked of the driver itself.
"""

import ctypes
import sys
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from threading import Thread
from types import TracebackType
from typing import Any

from derain.engines.device.given import DriverDevice, problems
from derain.engines.device.seam import DeviceFacts, DeviceMemoryError, HostArray
from derain.engines.errors import DerainError, UsageError

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, for which pycuda has no name."""
OUT_OF_MEMORY = 2
"""CUDA_ERROR_OUT_OF_MEMORY."""
LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


@dataclass
class Held:
    """The only reference to a stream or an event: the frames of an exception have this instead."""

    it: Any

    def drop(self) -> None:
        self.it = None


class Translated:
    """pycuda's exceptions within it become this project's."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, self.api.MemoryError):
            raise DeviceMemoryError(f"on the GPU, {error}") from error
        if isinstance(error, self.api.Error):
            raise DerainError(f"on the GPU, {error}") from error


class Current(Translated):
    """Puts a context on the calling thread's stack, and takes it off again."""

    def __init__(self, api: Any, context: Any) -> None:
        super().__init__(api)
        self._context = context

    def __enter__(self) -> None:
        with Translated(self.api):
            self._context.push()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with Translated(self.api):
            self._context.pop()
        super().__exit__(kind, error, trace)


class PycudaDriver:
    name = "pycuda"
    graphs = None

    def __init__(self, api: Any, index: int) -> None:
        self._api = api
        self._library = ctypes.CDLL(LIBRARY)
        with Translated(api):
            device = api.Device(index)
            self.facts = facts_of(api, device)
            self._context = device.retain_primary_context()
        self._current = Current(api, self._context)

    def current(self) -> AbstractContextManager[None]:
        return self._current

    def free_memory(self) -> int:
        return int(self._api.mem_get_info()[0])

    def close(self) -> None:
        """On a thread of its own: pycuda leaves a context that it detached on the thread's stack."""
        found: list[DerainError] = []
        thread = Thread(target=lambda: found.extend(problems([self._detach])), name="derain-detach")
        thread.start()
        thread.join()
        if found:
            raise found[0]

    def _detach(self) -> None:
        with Translated(self._api):
            self._context.push()
            self._context.detach()

    def allocate(self, nbytes: int) -> Any:
        return self._api.mem_alloc(nbytes)

    def address(self, allocation: Any) -> int:
        return int(allocation)

    def free(self, allocation: Any) -> None:
        allocation.free()

    def pin(self, memory: HostArray) -> ctypes.c_void_p:
        start = ctypes.c_void_p(memory.ctypes.data)
        code = self._library.cuMemHostRegister_v2(start, ctypes.c_size_t(memory.nbytes), 0)
        check("cuMemHostRegister", code)
        return start

    def unpin(self, pinned: ctypes.c_void_p) -> None:
        check("cuMemHostUnregister", self._library.cuMemHostUnregister(pinned))

    def stream(self) -> Held:
        """One that does not wait for the default stream's work, nor that for its."""
        return Held(self._api.Stream(NON_BLOCKING))

    def handle(self, stream: Held) -> int:
        return int(stream.it.handle)

    def finish(self, stream: Held) -> None:
        stream.it.synchronize()

    def drop_stream(self, stream: Held) -> None:
        stream.drop()

    def event(self, timing: bool) -> Held:
        """Who waits for it sleeps, and leaves the processor to those that decode and encode."""
        flags = self._api.event_flags
        return Held(self._api.Event(flags.BLOCKING_SYNC | (0 if timing else flags.DISABLE_TIMING)))

    def record(self, event: Held, stream: Held) -> None:
        event.it.record(stream.it)

    def wait(self, stream: Held, event: Held) -> None:
        stream.it.wait_for_event(event.it)

    def done(self, event: Held) -> bool:
        return bool(event.it.query())

    def finish_event(self, event: Held) -> None:
        event.it.synchronize()

    def milliseconds(self, earlier: Held, later: Held) -> float:
        return float(later.it.time_since(earlier.it))

    def drop_event(self, event: Held) -> None:
        event.drop()

    def upload(self, array: HostArray, allocation: Any, stream: Held) -> None:
        self._api.memcpy_htod_async(allocation, array, stream.it)

    def download(self, allocation: Any, array: HostArray, stream: Held) -> None:
        self._api.memcpy_dtoh_async(array, allocation, stream.it)

    def copy(self, source: Any, target: Any, nbytes: int, stream: Held) -> None:
        self._api.memcpy_dtod_async(target, source, nbytes, stream.it)

    def zero(self, allocation: Any, nbytes: int, stream: Held) -> None:
        self._api.memset_d8_async(allocation, 0, nbytes, stream.it)


def check(name: str, code: int) -> None:
    if code:
        kind = DeviceMemoryError if code == OUT_OF_MEMORY else DerainError
        raise kind(f"on the GPU, {name} failed: CUDA error {code}")


def facts_of(api: Any, device: Any) -> DeviceFacts:
    major, minor = device.compute_capability()
    version = int(api.get_driver_version())
    driver = (version // 1000, version % 1000 // 10)
    return DeviceFacts(str(device.name()), (int(major), int(minor)), driver, int(device.total_memory()))


def started() -> Any:
    """pycuda.driver. Raises UsageError, DerainError."""
    if find_spec("pycuda") is None:
        raise UsageError('the package pycuda is not installed: pip install "derain[pycuda]"')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the sentence below says the same
            api = import_module("pycuda.driver")
    except ImportError as error:
        raise UsageError(f"the package pycuda can't be loaded: {error}") from error
    with Translated(api):
        api.init()
    return api


def count() -> int:
    """How many GPUs the driver knows. Raises UsageError, DerainError."""
    api = started()
    with Translated(api):
        return int(api.Device.count())


def open_device(index: int) -> DriverDevice:
    return DriverDevice(PycudaDriver(started(), index))
