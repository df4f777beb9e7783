"""A GPU through the package cuda.bindings: the primary context, which other packages in the process share."""

from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from derain.engines.device.given import DriverDevice
from derain.engines.device.seam import DeviceFacts, DeviceMemoryError, HostArray
from derain.engines.errors import DerainError, UsageError


class Calls:
    """The driver's functions, each of whose error codes becomes an exception."""

    def __init__(self) -> None:
        self.api: Any = import_module("cuda.bindings.driver")

    def __call__(self, name: str, *arguments: Any) -> Any:
        """What the function gives besides its code: nothing, one thing, or several."""
        status, *results = self.raw(name, *arguments)
        self.check(name, status)
        return results[0] if len(results) == 1 else results

    def raw(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self.api, name)(*arguments)
        except RuntimeError as error:  # cuda.bindings says so of what an old driver lacks
            raise DerainError(f"the NVIDIA driver has no {name}: {error}") from error

    def check(self, name: str, status: Any) -> None:
        if status == self.api.CUresult.CUDA_SUCCESS:
            return
        short = status == self.api.CUresult.CUDA_ERROR_OUT_OF_MEMORY
        code, text = self.api.cuGetErrorString(status)
        said = text.decode() if code == self.api.CUresult.CUDA_SUCCESS else f"error {int(status)}"
        raise (DeviceMemoryError if short else DerainError)(f"on the GPU, {name} failed: {said}")


class Current:
    """Puts a context on the calling thread's stack, and takes it off again."""

    def __init__(self, call: Calls, context: Any) -> None:
        self._call = call
        self._context = context

    def __enter__(self) -> None:
        self._call("cuCtxPushCurrent", self._context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call("cuCtxPopCurrent")


class CudaGraphs:
    def __init__(self, call: Calls) -> None:
        self._call = call

    def begin_capture(self, stream: Any) -> None:
        """Of this thread's work only: others go on allocating, say, for their own."""
        mode = self._call.api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", stream, mode)

    def end_capture(self, stream: Any) -> Any:
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: Any, stream: Any) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def drop_graph(self, graph: Any) -> None:
        self._call("cuGraphExecDestroy", graph)


class CudaDriver:
    name = "cuda"

    def __init__(self, call: Calls, index: int) -> None:
        self.graphs = CudaGraphs(call)
        self._call = call
        self._api = call.api
        self._device = call("cuDeviceGet", index)
        self.facts = facts_of(call, self._device)
        self._current = Current(call, call("cuDevicePrimaryCtxRetain", self._device))

    def current(self) -> AbstractContextManager[None]:
        return self._current

    def free_memory(self) -> int:
        return int(self._call("cuMemGetInfo")[0])

    def close(self) -> None:
        self._call("cuDevicePrimaryCtxRelease", self._device)

    def allocate(self, nbytes: int) -> Any:
        return self._call("cuMemAlloc", nbytes)

    def address(self, allocation: Any) -> int:
        return int(allocation)

    def free(self, allocation: Any) -> None:
        self._call("cuMemFree", allocation)

    def pin(self, memory: HostArray) -> int:
        self._call("cuMemHostRegister", memory.ctypes.data, memory.nbytes, 0)
        return memory.ctypes.data

    def unpin(self, pinned: int) -> None:
        self._call("cuMemHostUnregister", pinned)

    def stream(self) -> Any:
        """One that does not wait for the default stream's work, nor that for its."""
        return self._call("cuStreamCreate", self._api.CUstream_flags.CU_STREAM_NON_BLOCKING.value)

    def handle(self, stream: Any) -> int:
        return int(stream)

    def finish(self, stream: Any) -> None:
        self._call("cuStreamSynchronize", stream)

    def drop_stream(self, stream: Any) -> None:
        self._call("cuStreamDestroy", stream)

    def event(self, timing: bool) -> Any:
        """Who waits for it sleeps, and leaves the processor to those that decode and encode."""
        flags = self._api.CUevent_flags
        quiet = 0 if timing else flags.CU_EVENT_DISABLE_TIMING.value
        return self._call("cuEventCreate", flags.CU_EVENT_BLOCKING_SYNC.value | quiet)

    def record(self, event: Any, stream: Any) -> None:
        self._call("cuEventRecord", event, stream)

    def wait(self, stream: Any, event: Any) -> None:
        self._call("cuStreamWaitEvent", stream, event, 0)

    def done(self, event: Any) -> bool:
        (status,) = self._call.raw("cuEventQuery", event)
        if status == self._api.CUresult.CUDA_ERROR_NOT_READY:
            return False
        self._call.check("cuEventQuery", status)
        return True

    def finish_event(self, event: Any) -> None:
        self._call("cuEventSynchronize", event)

    def milliseconds(self, earlier: Any, later: Any) -> float:
        return float(self._call("cuEventElapsedTime", earlier, later))

    def drop_event(self, event: Any) -> None:
        self._call("cuEventDestroy", event)

    def upload(self, array: HostArray, allocation: Any, stream: Any) -> None:
        self._call("cuMemcpyHtoDAsync", allocation, array.ctypes.data, array.nbytes, stream)

    def download(self, allocation: Any, array: HostArray, stream: Any) -> None:
        self._call("cuMemcpyDtoHAsync", array.ctypes.data, allocation, array.nbytes, stream)

    def copy(self, source: Any, target: Any, nbytes: int, stream: Any) -> None:
        self._call("cuMemcpyDtoDAsync", target, source, nbytes, stream)

    def zero(self, allocation: Any, nbytes: int, stream: Any) -> None:
        self._call("cuMemsetD8Async", allocation, 0, nbytes, stream)


def facts_of(call: Calls, device: Any) -> DeviceFacts:
    kinds = call.api.CUdevice_attribute
    version = int(call("cuDriverGetVersion"))
    name = call("cuDeviceGetName", 256, device).split(b"\0")[0].decode()
    major = call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
    minor = call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
    memory = int(call("cuDeviceTotalMem", device))
    return DeviceFacts(name, (int(major), int(minor)), (version // 1000, version % 1000 // 10), memory)


def started() -> Calls:
    """Raises UsageError, DerainError."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        raise UsageError('the package cuda-bindings is not installed: pip install "derain[cuda]"')
    call = Calls()
    try:
        (status,) = call.api.cuInit(0)
    except RuntimeError as error:
        raise UsageError("no NVIDIA driver (libcuda.so.1) is installed here") from error
    call.check("cuInit", status)
    return call


def count() -> int:
    """How many GPUs the driver knows. Raises UsageError, DerainError."""
    return int(started()("cuDeviceGetCount"))


def open_device(index: int) -> DriverDevice:
    return DriverDevice(CudaDriver(started(), index))
