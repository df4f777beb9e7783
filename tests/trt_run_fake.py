"""A TensorRT of plain Python. Its plans are ONNX files that ONNX Runtime runs in host memory, in the streams
of a host device, which does nothing before somebody waits; what is asked of it is kept."""

import ctypes
import json
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from derain.engines import machine, trt, trt_plans
from derain.engines.build import BuildOptions, End, Plan
from derain.engines.device import opening
from derain.engines.device.given import DeviceBuffer
from derain.engines.device.host import HostDevice
from derain.engines.device.seam import Buffer, DeviceFacts, HostArray, Stream
from derain.engines.edges import PIXELS_IN
from derain.engines.plans import planning

FACTS = DeviceFacts("NVIDIA Fake 4090", (8, 9), (13, 1), 1 << 30)
NUMPY: dict[str, Any] = {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16}
ELEMENTS = {onnx.TensorProto.UINT8: "UINT8", onnx.TensorProto.FLOAT: "FLOAT"}
SCRATCH = 16
"""Bytes of scratch memory for a pixel."""


class FakeGpu(HostDevice):
    """Host memory that says it is a card. `told`: what is put into its streams, by the stream's handle."""

    def __init__(self, facts: DeviceFacts = FACTS, memory: int = 1 << 30, graphs: bool = True) -> None:
        super().__init__(memory)
        self._facts = facts
        self.graphs = graphs
        self.told: list[tuple[str, int]] = []

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @property
    def buffers(self) -> dict[int, int]:
        """Sizes of the buffers that are there now, by address."""
        given = [one for one in self.given if isinstance(one, DeviceBuffer)]
        return {buffer.pointer: buffer.nbytes for buffer in given}

    def upload(self, array: HostArray, buffer: Buffer, stream: Stream) -> None:
        self.told.append(("upload", stream.handle))
        super().upload(array, buffer, stream)

    def download(self, buffer: Buffer, array: HostArray, stream: Stream) -> None:
        self.told.append(("download", stream.handle))
        super().download(buffer, array, stream)


class Strategy(Enum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class Graphs(Enum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class Specialization(Enum):
    LAZY = 0
    EAGER = 1
    NONE = 2


class Mode(Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    UINT8 = 7


class Logger:
    class Severity(Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2


class Monitor:
    pass


class Package:
    """The package. `fails`: what answers False or None, by the number of answers before that are good; `why`
    is what it says then. `calls`: in their order, of whatever object. `done`: the addresses of the batches
    that were computed, in their order. `refuses_capture`: its work can't be captured."""

    ILogger = Logger
    IProgressMonitor = Monitor
    ExecutionContextAllocationStrategy = Strategy
    CudaGraphStrategy = Graphs
    DynamicShapesKernelSpecializationStrategy = Specialization

    def __init__(self, version: str) -> None:
        self.__version__ = version
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, int] = {}
        self.why = "it will not"
        self.refuses_capture = False
        self.devices: list[FakeGpu] = []
        self.make: Callable[[], FakeGpu] = FakeGpu
        self.contexts: list[IExecutionContext] = []
        self.done: list[int] = []
        self.broken = ""
        self.Runtime = self.load

    @property
    def device(self) -> FakeGpu:
        return self.devices[-1]

    def open_device(self) -> FakeGpu:
        self.devices.append(self.make())
        return self.devices[-1]

    def good(self, name: str, *what: Any) -> bool:
        """Notes a call; whether it goes well."""
        self.calls.append((name, *what))
        if name not in self.fails:
            return True
        self.fails[name] -= 1
        return self.fails[name] >= 0

    def count(self, name: str) -> int:
        return sum(call[0] == name for call in self.calls)

    def load(self, logger: Any) -> "Runtime":
        if not self.good("Runtime"):
            raise TypeError("factory function returned nullptr")
        return Runtime(self, logger)


class Runtime:
    def __init__(self, module: Package, logger: Any) -> None:
        self._module, self._logger = module, logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        if not self._module.good("deserialize_cuda_engine", len(serialized_engine)):
            self._logger.log(Logger.Severity.ERROR, self._module.why)
            return None
        return ICudaEngine(self._module, self._logger, serialized_engine)


class ICudaEngine:
    def __init__(self, module: Package, logger: Any, data: bytes) -> None:
        self.module, self.logger, self.gpu = module, logger, module.device
        head, _, graph = data.partition(b"\n")
        self.profiles = [[tuple(shape) for shape in profile] for profile in json.loads(head)]
        self.model = onnx.load_model_from_string(graph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs = {end.name: end for end in self.model.graph.input}
        self.outputs = {end.name: end for end in self.model.graph.output}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        self.num_optimization_profiles = len(self.profiles)

    def _refuse(self) -> bool:
        self.logger.log(Logger.Severity.ERROR, self.module.why)
        return False

    def get_tensor_name(self, index: int) -> str:
        names: list[str] = [*self.inputs, *self.outputs]
        return names[index]

    def get_tensor_mode(self, name: str) -> Any:
        return Mode["INPUT" if name in self.inputs else "OUTPUT"]

    def get_tensor_dtype(self, name: str) -> Any:
        end = (self.inputs | self.outputs)[name]
        return DataType[ELEMENTS[end.type.tensor_type.elem_type]]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert name == PIXELS_IN
        channels = self.inputs[name].type.tensor_type.shape.dim[3].dim_value
        return [(*shape, channels) for shape in self.profiles[profile_index]]

    def create_runtime_config(self) -> "IRuntimeConfig | None":
        return IRuntimeConfig(self) if self.module.good("create_runtime_config") else None

    def create_execution_context(self, strategy: Any) -> "IExecutionContext | None":
        config = strategy if isinstance(strategy, IRuntimeConfig) else None
        assert (strategy if config is None else config.strategy) is Strategy.USER_MANAGED
        if not self.module.good("create_execution_context"):
            self._refuse()
            return None
        context = IExecutionContext(self, config)
        self.module.contexts.append(context)
        return context


class IRuntimeConfig:
    cuda_graph_strategy = Graphs.DISABLED
    dynamic_shapes_kernel_specialization_strategy = Specialization.LAZY

    def __init__(self, engine: ICudaEngine) -> None:
        self.engine = engine
        self.cache: IRuntimeCache | None = None
        self.strategy = Strategy.STATIC

    def set_execution_context_allocation_strategy(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> "IRuntimeCache | None":
        return IRuntimeCache(self.engine.module) if self.engine.module.good("create_runtime_cache") else None

    def set_runtime_cache(self, cache: "IRuntimeCache") -> bool:
        self.cache = cache
        return self.engine.module.good("set_runtime_cache") or self.engine._refuse()


class IRuntimeCache:
    def __init__(self, module: Package) -> None:
        self._module = module
        self.kernels: list[str] = []

    def deserialize(self, blob: bytes) -> bool:
        if not self._module.good("cache.deserialize"):
            return False
        self.kernels = json.loads(blob)
        return True

    def serialize(self) -> bytes:
        return json.dumps(self.kernels).encode()


class IExecutionContext:
    """`addresses`: by tensor. `scratch`: where it may work, and how many bytes there are."""

    def __init__(self, engine: ICudaEngine, config: IRuntimeConfig | None) -> None:
        self.engine, self.config = engine, config
        self.profile: int | None = None
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.scratch = (0, 0)
        self.ran = 0

    def _good(self, name: str, *what: Any) -> bool:
        return self.engine.module.good(name, *what) or self.engine._refuse()

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._put(stream_handle, lambda: None)
        self.profile = profile_index
        return self._good("set_optimization_profile_async", profile_index, stream_handle)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if name == PIXELS_IN:
            assert self.profile is not None
            least, _, most = self.engine.profiles[self.profile]
            assert all(a <= b <= c for a, b, c in zip(least, shape, most, strict=False)), "beyond the profile"
        self.shapes[name] = shape
        return self._good("set_input_shape", name, shape)

    def infer_shapes(self) -> list[str]:
        missing = [name for name in self.engine.inputs if name not in self.shapes]
        return missing if self._good("infer_shapes") else [*missing, "one more"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        ends = self.engine.inputs
        feeds = {
            one: np.zeros(shape, NUMPY[self.engine.get_tensor_dtype(one).name])
            for one, shape in self.shapes.items()
        }
        assert set(feeds) == set(ends)
        shape = tuple(self.engine.session.run([name], feeds)[0].shape)
        return shape if self._good("get_tensor_shape", name) else (*shape, 1)

    def update_device_memory_size_for_shapes(self) -> int:
        self._good("update_device_memory_size_for_shapes")
        return SCRATCH * int(np.prod(self.shapes[PIXELS_IN][:3]))

    def set_device_memory(self, memory: int, size: int) -> None:
        self._good("set_device_memory", memory, size)
        self.scratch = (memory, size)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return self._good("set_tensor_address", name, memory)

    def execute_async_v3(self, stream_handle: int) -> bool:
        module, device = self.engine.module, self.engine.gpu
        stream = device._host.streams.get(stream_handle)
        capturing = stream is not None and stream.captured is not None
        if capturing and (self.ran == 0 or module.refuses_capture or self.config is not None):
            return self.engine._refuse()
        if not self._good("execute_async_v3", stream_handle, dict(self.addresses), capturing):
            return False
        assert self.scratch[1] >= self.update_device_memory_size_for_shapes(), "too little scratch memory"
        addresses, shapes = dict(self.addresses), dict(self.shapes)
        if self.config is not None and self.config.cache is not None:
            kernel = str(sorted(shapes.items()))
            self.config.cache.kernels += [kernel] * (kernel not in self.config.cache.kernels)
        self._put(stream_handle, lambda: self._work(addresses, shapes))
        device.told.append(("execute", stream_handle))
        self.ran += 1
        return True

    def _put(self, handle: int, work: Callable[[], None]) -> None:
        module = self.engine.module
        if handle not in self.engine.gpu._host.streams:
            module.broken = f"the stream {handle} is not open"
            raise AssertionError(module.broken)
        self.engine.gpu.put(handle, work)

    def _work(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        """What the device does once its stream has come to it."""
        self.engine.module.done.append(addresses[PIXELS_IN])
        self._memory(self.scratch[0], (self.scratch[1],), "UINT8").fill(0x5A)
        feeds = {
            name: self._memory(addresses[name], shape, self.engine.get_tensor_dtype(name).name).copy()
            for name, shape in shapes.items()
        }
        names = list(self.engine.outputs)
        for name, value in zip(names, self.engine.session.run(names, feeds), strict=True):
            dtype = self.engine.get_tensor_dtype(name).name
            self._memory(addresses[name], value.shape, dtype)[...] = value

    def _memory(self, address: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """The device's memory there; asserts that it is a buffer of the engine's."""
        nbytes = int(np.prod(shape)) * np.dtype(NUMPY[dtype]).itemsize
        assert self.engine.gpu.buffers.get(address, 0) >= nbytes, "beyond a buffer"
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))
        found: npt.NDArray[Any] = raw.view(NUMPY[dtype]).reshape(shape)
        return found


def fake_build(graph: onnx.ModelProto, runtime: trt.Runtime, options: BuildOptions, progress: Any) -> Plan:
    """A plan for Runtime."""
    runtime.module.good("build_plan", options.precision, options.profiles)
    ends = [(end, False) for end in graph.graph.input] + [(end, True) for end in graph.graph.output]
    io = tuple(
        End(end.name, given, ELEMENTS[end.type.tensor_type.elem_type], (-1, -1, -1, -1))
        for end, given in ends
    )
    head = json.dumps([list(profile) for profile in options.profiles]).encode()
    data = head + b"\n" + graph.SerializeToString()
    return Plan(data, runtime.told, options.precision, {}, io, 0.1)


def attach(monkeypatch: pytest.MonkeyPatch, version: str = "11.1.0.7", *, check: bool = False) -> Package:
    """A machine with a card and the package. `check`: whether plans are compared with the CPU."""
    module = Package(version)
    monkeypatch.setattr(trt, "_module", lambda name: module)
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: ((FACTS.name,), ""))
    monkeypatch.setattr(opening, "unavailable", lambda: "")
    monkeypatch.setattr(opening, "open_device", module.open_device)
    monkeypatch.setattr(planning, "build_plan", fake_build)
    if not check:
        monkeypatch.setattr(trt_plans, "MOST_PROBED", 0)
    return module
