"""A package `tensorrt` that reads ONNX and builds nothing: all its names are those of the published one.

`package.refuse` holds names of methods that are to fail as the real ones do; `package.calls` what was called
that a test may ask for.
"""

import enum
import inspect
from types import ModuleType
from typing import Any

import onnx
from onnx import TensorProto
from trt_surface import surface

KINDS = {"Conv": "CONVOLUTION", "ConvTranspose": "DECONVOLUTION", "MatMul": "MATRIX_MULTIPLY"}
TYPES: dict[int, str] = {
    TensorProto.UINT8: "UINT8",
    TensorProto.FLOAT: "FLOAT",
    TensorProto.FLOAT16: "HALF",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT8: "INT8",
    TensorProto.FLOAT8E4M3FN: "FP8",
}
PLAN = b"a plan"
TIMINGS = b"timings"


class ITensor:
    def __init__(self, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        self.name, self.dtype, self.shape = name, dtype, shape


class ILayer:
    def __init__(self, kind: Any, taken: ITensor, given: Any) -> None:
        self.type, self._taken, self._given = kind, taken, given

    def get_input(self, index: int) -> ITensor:
        return self._taken

    def get_output_type(self, index: int) -> Any:
        return self._given


class INetworkDefinition:
    def __init__(self) -> None:
        self._ends: list[list[ITensor]] = [[], []]
        self._layers: list[ILayer] = []

    @property
    def num_inputs(self) -> int:
        return len(self._ends[0])

    @property
    def num_outputs(self) -> int:
        return len(self._ends[1])

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_input(self, index: int) -> ITensor:
        return self._ends[0][index]

    def get_output(self, index: int) -> ITensor:
        return self._ends[1][index]

    def get_layer(self, index: int) -> ILayer:
        return self._layers[index]


class ParserError:
    def desc(self) -> str:
        return "Plugin not found,\nare the name and version correct?"

    def node(self) -> int:
        return 4

    def node_name(self) -> str:
        return "odd"

    def node_operator(self) -> str:
        return "Frobnicate"


class IOptimizationProfile:
    def __init__(self) -> None:
        self._shapes: dict[str, tuple[Any, ...]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self._shapes[input] = (min, opt, max)


class IHostMemory(bytes):
    """Read as a buffer."""


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> bytes:
        return self._content + TIMINGS


class ILogger:
    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    pass


def tensorrt(version: str) -> Any:
    """The package of that version, ("10.13", ...), with enums as it publishes them."""
    package: Any = ModuleType("tensorrt")
    package.__version__ = f"{version}.0.1"
    package.calls, package.refuse = [], set[str]()
    for name in ("BuilderFlag", "DataType", "LayerType", "MemoryPoolType", "ProfilingVerbosity"):
        setattr(package, name, _enum(enum.Enum, name, version))
    flags = "NetworkDefinitionCreationFlag"
    setattr(package, flags, _enum(enum.IntEnum, flags, version))
    severity = {"Severity": _enum(enum.Enum, "Severity", version)}
    package.ILogger = type("ILogger", (ILogger,), severity)
    package.IProgressMonitor = type("IProgressMonitor", (IProgressMonitor,), {})
    package.Builder = lambda logger: Builder(package, logger)
    package.OnnxParser = lambda network, logger: OnnxParser(package, network)
    return package


def classes() -> list[type]:
    """Those of the package, which tests compare with the real one's."""
    found = inspect.getmembers(inspect.getmodule(Builder), inspect.isclass)
    return [member for _, member in found if member.__module__ == Builder.__module__]


def _enum(kind: Any, name: str, version: str) -> Any:
    return kind(name, list(surface(version)[name]))


class OnnxParser:
    def __init__(self, package: Any, network: INetworkDefinition) -> None:
        self._package, self._network = package, network
        self.num_errors = 0

    def parse(self, model: bytes, path: str | None = None) -> bool:
        if "parse" in self._package.refuse:
            self.num_errors = 1
            return False
        read = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model))
        graph = read.graph
        types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
        types |= {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
        types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
        for ends, values in zip(self._network._ends, (graph.input, graph.output), strict=True):
            ends.extend(self._tensor(value, types) for value in values)
        for node in graph.node:
            kind = KINDS.get(node.op_type, "DEQUANTIZE" if node.op_type == "DequantizeLinear" else "SHUFFLE")
            taken = ITensor(node.input[0], self._dtype(types, node.input[0]), ())
            given = self._dtype(types, node.output[0])
            self._network._layers.append(ILayer(self._package.LayerType[kind], taken, given))
        return True

    def get_error(self, index: int) -> ParserError:
        return ParserError()

    def _tensor(self, value: onnx.ValueInfoProto, types: dict[str, int]) -> ITensor:
        dims = value.type.tensor_type.shape.dim
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)
        return ITensor(value.name, self._dtype(types, value.name), shape)

    def _dtype(self, types: dict[str, int], name: str) -> Any:
        told = TYPES.get(types.get(name, 0), "INT32")
        if "dtype" in self._package.refuse and told == "HALF":
            told = "FLOAT"  # as one that takes fp16 and computes in fp32, without a word
        return self._package.DataType[told]


class IBuilderConfig:
    def __init__(self, package: Any) -> None:
        self._package = package
        self.profiling_verbosity: Any = None
        self.progress_monitor: Any = None
        self._profiles: list[IOptimizationProfile] = []
        self._timings = ITimingCache(b"")

    def clear_flag(self, flag: Any) -> None:
        self._package.calls.append(("clear_flag", flag.name))

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._package.calls.append(("set_memory_pool_limit", pool.name, pool_size))

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if "set_timing_cache" in self._package.refuse:
            return False
        if "stale timings" in self._package.refuse and cache._content:
            return False
        self._timings = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self._timings

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        if "add_optimization_profile" in self._package.refuse:
            return -1
        self._profiles.append(profile)
        self._package.calls.append(("profile", profile._shapes))
        return len(self._profiles) - 1


class Builder:
    def __init__(self, package: Any, logger: Any) -> None:
        self._package, self._logger = package, logger
        if "Builder" in package.refuse:
            logger.log(package.ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        self._package.calls.append(("create_network", flags))
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self._package)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        severity = self._package.ILogger.Severity
        self._logger.log(severity.WARNING, "slow\nbut sure")
        monitor = config.progress_monitor
        monitor.phase_start("Building", None, 2)
        monitor.phase_start("Timing", "Building", 4)
        going_on = monitor.step_complete("Timing", 1)
        monitor.phase_finish("Timing")
        going_on = going_on and monitor.step_complete("Building", 0)
        monitor.phase_finish("Building")
        if not going_on or "build_serialized_network" in self._package.refuse:
            self._logger.log(severity.ERROR, "no tactics within\nthe workspace")
            self._logger.log(severity.ERROR, "what follows from it")
            return None
        return IHostMemory(PLAN)
