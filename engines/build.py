"""ONNX -> plan: one way for TensorRT 10 and 11 and for TensorRT-RTX, which builds without a GPU.

What a plan computes in is in the dtypes of its graph (`trt_graph.graph_for`); here it is checked that
TensorRT took them so: on its network before the build, which needs no driver, and with `check_engine` on the
plan once a driver has loaded it.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto

from derain.engines.base import one_line
from derain.engines.edges import PIXELS_IN
from derain.engines.errors import DerainError, UsageError
from derain.engines.halves import HEAVY, element_types
from derain.engines.modelfile import StateSpec
from derain.engines.trt import Progress, Runtime
from derain.engines.trt_graph import PRECISIONS

Shape = tuple[int, int, int]
"""(N, H, W) of a batch of frames."""
LEAST_CAPABILITY = {"bf16": 80, "fp8": 89}
"""Older cards can't compute in these."""
_HEAVY_LAYERS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
_ASKED = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16", "int8": "INT8", "fp8": "FP8"}
_DTYPES: dict[int, str] = {
    TensorProto.UINT8: "UINT8",
    TensorProto.FLOAT: "FLOAT",
    TensorProto.FLOAT16: "HALF",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.INT8: "INT8",
    TensorProto.FLOAT8E4M3FN: "FP8",
}


class CalledOffError(DerainError):
    """The build was ended by the one who watched its progress."""


@dataclass(frozen=True)
class Profile:
    """Shapes that a plan takes, from `least` to `most` in each of N, H, W; it is tuned for `best`."""

    least: Shape
    best: Shape
    most: Shape

    def __post_init__(self) -> None:
        rising = all(a <= b for near, far in pairwise(self) for a, b in zip(near, far, strict=True))
        if not rising or min(self.least) < 1:
            raise UsageError(
                f"the shapes {self.least}, {self.best}, {self.most} are no profile: each number must be 1 or "
                "more, and none may be smaller than the one before it"
            )

    def __iter__(self) -> Iterator[Shape]:
        return iter((self.least, self.best, self.most))

    @classmethod
    def fixed(cls, shape: Shape) -> "Profile":
        """Of that one shape."""
        return cls(shape, shape, shape)


@dataclass(frozen=True)
class BuildOptions:
    """`precision`: what the graph was made for. `states`: those of a recurrent network.

    `workspace`: scratch memory on the device in bytes, None for all there is. `capabilities`: of the cards to
    build for, "86" say; () for the card at hand, or in TensorRT-RTX for all from 80 on. `timing_cache`: what
    an earlier build left, see Plan.
    """

    precision: str
    profiles: tuple[Profile, ...]
    states: tuple[StateSpec, ...] = ()
    workspace: int | None = None
    capabilities: tuple[str, ...] = ()
    timing_cache: bytes = b""


class End(NamedTuple):
    """An input or output. `dtype`: as TensorRT calls it. `shape`: -1 for what is dynamic."""

    name: str
    given: bool
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """`data`: what a runtime loads. `runtime`: with its version. `layers`: how many convolutions and products
    of matrices give each dtype, and how many tensors are had in 8 bits. `timing_cache`: for the next build,
    b"" where the runtime keeps none. `warnings`: what the builder had to say."""

    data: bytes
    runtime: str
    precision: str
    layers: Mapping[str, int]
    io: tuple[End, ...]
    seconds: float
    timing_cache: bytes = b""
    warnings: tuple[str, ...] = ()


def going_on(_what: str, _share: float) -> bool:
    """The Progress of nobody."""
    return True


def build_plan(
    graph: onnx.ModelProto, runtime: Runtime, options: BuildOptions, progress: Progress = going_on
) -> Plan:
    """Builds the plan of `graph`, which `graph_for` made for the same precision.

    Raises UsageError for options that the runtime does not take, CalledOffError where `progress` ended it,
    and DerainError where the runtime can't build it, with the node that it does not take.
    """
    check_options(runtime, options)
    start = time.perf_counter()
    messages = runtime.messages()
    builder = _builder(runtime, messages)
    network = parsed(graph, runtime, builder, messages)
    io = ends_of(network)
    _check_ends(graph, io, runtime)
    layers = layers_of(network)
    _check_layers(graph, layers, options.precision, runtime)
    config = _configured(runtime, builder, options)
    _add_profiles(runtime, builder, config, io, options)
    data = _built(runtime, builder, network, config, progress, messages)
    kept = bytes(config.get_timing_cache().serialize()) if runtime.quirks.timing_cache else b""
    progress("built", 1.0)
    seconds = time.perf_counter() - start
    warnings = tuple(dict.fromkeys(map(one_line, map(Exception, messages.warnings))))
    return Plan(data, runtime.told, options.precision, layers, io, seconds, kept, warnings)


def check_options(runtime: Runtime, options: BuildOptions) -> None:
    """Raises UsageError for what the runtime does not take."""
    if options.precision not in PRECISIONS:
        raise UsageError(f"there is no precision {options.precision!r}; derain has {', '.join(PRECISIONS)}")
    if not options.profiles:
        raise UsageError("a plan needs the shapes that it is to take: none were given")
    known = runtime.quirks.capabilities
    for capability in options.capabilities:
        if not known:
            raise UsageError(
                f"{runtime.name} builds for the card at hand alone, not for compute capability {capability}; "
                "tensorrt_rtx builds for others"
            )
        if capability not in known:
            raise UsageError(
                f"{runtime.name} can't build for compute capability {capability}; it takes {', '.join(known)}"
            )
        if int(capability) < LEAST_CAPABILITY.get(options.precision, 0):
            raise UsageError(
                f"cards of compute capability {capability} can't compute in {options.precision}, which needs "
                f"{LEAST_CAPABILITY[options.precision]} or later; take fp16"
            )


def _builder(runtime: Runtime, messages: Any) -> Any:
    try:
        return runtime.module.Builder(messages)
    except (RuntimeError, TypeError) as error:  # TypeError: there is none, say the bindings
        why = messages.why() if messages.errors else one_line(error)
        raise DerainError(f"{runtime.told} can't build here: {why}") from error


def parsed(graph: onnx.ModelProto, runtime: Runtime, builder: Any, messages: Any) -> Any:
    """TensorRT's network of the graph; raises DerainError with the first node that it does not take."""
    trt = runtime.module
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if runtime.quirks.typed_flag else 0
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, messages)
    if not parser.parse(graph.SerializeToString()):
        raise DerainError(f"{runtime.told} can't take the network{_called(graph)}: {_refused(parser)}")
    return network


def ends_of(network: Any) -> tuple[End, ...]:
    """The inputs and outputs of TensorRT's network, in their order."""
    taken = [network.get_input(number) for number in range(network.num_inputs)]
    given = [network.get_output(number) for number in range(network.num_outputs)]
    both = [(tensor, False) for tensor in taken] + [(tensor, True) for tensor in given]
    return tuple(End(tensor.name, out, tensor.dtype.name, tuple(tensor.shape)) for tensor, out in both)


def layers_of(network: Any) -> dict[str, int]:
    """What TensorRT's network computes in, see Plan; strongly typed, so that a build changes nothing."""
    found: Counter[str] = Counter()
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        kind = layer.type.name
        if kind in _HEAVY_LAYERS:
            found[layer.get_output_type(0).name] += 1
        elif kind == "DEQUANTIZE":
            found[layer.get_input(0).dtype.name] += 1
    return dict(found)


def check_engine(engine: Any, plan_io: Sequence[End]) -> None:
    """Raises DerainError where a loaded plan (an ICudaEngine) has other ends than it was built with."""
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    found = {(name, engine.get_tensor_mode(name).name, engine.get_tensor_dtype(name).name) for name in names}
    wanted = {(end.name, "OUTPUT" if end.given else "INPUT", end.dtype) for end in plan_io}
    if found != wanted:
        raise DerainError(f"the plan has the ends {_told(found)} where it was built with {_told(wanted)}")


def _told(ends: set[tuple[str, str, str]]) -> str:
    return ", ".join(" ".join(end) for end in sorted(ends))


def _called(graph: onnx.ModelProto) -> str:
    """The network's name on its card, where it has one."""
    names = [entry.value for entry in graph.metadata_props if entry.key == "derain.name"]
    return f" {names[0]}" if names else ""


def _refused(parser: Any) -> str:
    """Why the parser took no more, with the node."""
    if not parser.num_errors:
        return "it did not say why"
    error = parser.get_error(0)
    why = one_line(Exception(error.desc()))
    if error.node() < 0:
        return why
    return f"its node {error.node_name() or error.node()!r} ({error.node_operator()}): {why}"


def _check_ends(graph: onnx.ModelProto, io: Sequence[End], runtime: Runtime) -> None:
    weights = {tensor.name for tensor in graph.graph.initializer}
    taken = [(end, "INPUT") for end in graph.graph.input if end.name not in weights]
    given = [(end, "OUTPUT") for end in graph.graph.output]
    wanted = {
        (end.name, mode, _DTYPES.get(end.type.tensor_type.elem_type, "?")) for end, mode in taken + given
    }
    found = {(end.name, "OUTPUT" if end.given else "INPUT", end.dtype) for end in io}
    if found != wanted:
        raise DerainError(
            f"{runtime.told} read the ends {_told(found)} of the network{_called(graph)} where it has "
            f"{_told(wanted)}"
        )


def _check_layers(
    graph: onnx.ModelProto, layers: Mapping[str, int], precision: str, runtime: Runtime
) -> None:
    """Raises DerainError where fewer layers are of a dtype than the graph has nodes of it, or none of those
    is of the precision."""
    wanted = _layers_in(graph)
    asked = _ASKED[precision]
    if wanted and asked not in wanted:
        raise DerainError(
            f"the network{_called(graph)} was to be {precision}, and its graph has {dict(wanted)}; "
            "graph_for makes it so"
        )
    for dtype, count in wanted.items():
        if layers.get(dtype, 0) < count:
            raise DerainError(
                f"the network{_called(graph)} was to be {precision}, and {runtime.told} read of its {count} "
                f"tensors of {dtype} only {layers.get(dtype, 0)}: {dict(layers)}"
            )


def _layers_in(graph: onnx.ModelProto) -> Counter[str]:
    """What `layers_of` should find."""
    types, found = element_types(graph), Counter[str]()
    for node in graph.graph.node:
        if node.op_type in HEAVY:
            found[_DTYPES.get(types.get(node.output[0], 0), "?")] += 1
        elif node.op_type == "DequantizeLinear":
            found[_DTYPES.get(types.get(node.input[0], 0), "?")] += 1
    return found


def _configured(runtime: Runtime, builder: Any, options: BuildOptions) -> Any:
    trt = runtime.module
    config = builder.create_builder_config()
    if options.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # on unless cleared: products of 10 bits, not 23
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    # What EngineInspector tells of a layer's dtypes it tells of such plans alone.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.capabilities:
        config.num_compute_capabilities = len(options.capabilities)
        for number, capability in enumerate(options.capabilities):
            member = getattr(trt.ComputeCapability, f"SM{capability}")
            if not config.set_compute_capability(member, number):
                raise DerainError(f"{runtime.told} did not take the compute capability {capability}")
    if runtime.quirks.timing_cache:
        _keep_timings(runtime, config, options.timing_cache)
    return config


def _keep_timings(runtime: Runtime, config: Any, earlier: bytes) -> None:
    """Goes on from an earlier build's cache, or from an empty one where that is of another device."""
    cache = config.create_timing_cache(earlier)
    if config.set_timing_cache(cache, False):
        return
    if not config.set_timing_cache(config.create_timing_cache(b""), False):
        raise DerainError(f"{runtime.told} did not take an empty timing cache")


def _add_profiles(
    runtime: Runtime, builder: Any, config: Any, io: Sequence[End], options: BuildOptions
) -> None:
    pixels = next(end for end in io if end.name == PIXELS_IN)
    for profile in options.profiles:
        made = builder.create_optimization_profile()
        made.set_shape(PIXELS_IN, *((*shape, pixels.shape[3]) for shape in profile))
        for state in options.states:
            made.set_shape(state.name, *(state.shape(*shape) for shape in profile))
        if config.add_optimization_profile(made) < 0:
            raise DerainError(f"{runtime.told} did not take the shapes {', '.join(map(str, profile))}")


def _built(
    runtime: Runtime, builder: Any, network: Any, config: Any, progress: Progress, messages: Any
) -> bytes:
    monitor = runtime.monitor(progress)
    config.progress_monitor = monitor
    data = builder.build_serialized_network(network, config)
    if monitor.failure is not None:
        raise monitor.failure
    if monitor.called_off:
        raise CalledOffError(f"the build by {runtime.told} was called off")
    if data is None:
        raise DerainError(f"{runtime.told} can't build the network: {messages.why()}")
    return bytes(data)
