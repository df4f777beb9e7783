"""A plan loaded by its runtime and made ready for one shape at a time. Whatever the runtime answers is looked
at: it says False or None where others raise."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from derain.engines.base import one_line
from derain.engines.build import End, Shape, check_engine
from derain.engines.device.seam import Buffer, DeviceMemoryError, Graph, Stream
from derain.engines.edges import PIXELS_IN
from derain.engines.errors import DerainError
from derain.engines.trt import Runtime

log = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[int, ...]]
"""Of a network's inputs or outputs, by name, as the runtime has them."""

MOST_GRAPHS = 4
"""Of one context, each for other addresses."""

_NO_ROOM = re.compile(r"out.?of.?memory|insufficient memory|memory ?allocation|bad_alloc", re.IGNORECASE)
_OLD_DRIVER = re.compile(r"driver version is insufficient|insufficient ?driver|error:? ?35\b", re.IGNORECASE)


class LoadedPlan:
    """A plan in its runtime, with the ends `io` that it was built with.

    `kernels`: what `kernels` of an earlier one gave, of a runtime that compiles for shapes when they come
    (TensorRT-RTX), b"" otherwise. Raises DerainError where the runtime does not take the plan. The device is
    the calling thread's in here and in all that is called of it.
    """

    def __init__(self, runtime: Runtime, data: bytes, io: Sequence[End], kernels: bytes = b"") -> None:
        self.told = runtime.told
        self.own_graphs = runtime.quirks.graph_strategy
        self._trt = runtime.module
        self._messages = runtime.messages()
        # Python's wrappers keep none of these alive for one another: the order of their ends is `close`'s.
        self._loader = self._made("load plans", self._load)
        self._engine = self._made("load the plan", lambda: self._loader.deserialize_cuda_engine(data))
        check_engine(self._engine, io)
        self._cache: Any = None
        self._config: Any = None
        if runtime.quirks.runtime_cache or runtime.quirks.graph_strategy:
            self._config = self._made("configure the plan", self._engine.create_runtime_config)
            self._configure(runtime, kernels)

    def profile_of(self, shape: Shape) -> int | None:
        """Of the profiles that take `shape` the one tuned for the nearest size; None where none takes it."""
        fitting = []
        for number in range(self._engine.num_optimization_profiles):
            least, best, most = map(tuple, self._engine.get_tensor_profile_shape(PIXELS_IN, number))
            if all(low <= size <= high for low, size, high in zip(least, shape, most, strict=False)):
                fitting.append((abs(math.prod(best[:3]) - math.prod(shape)), number))
        return min(fitting)[1] if fitting else None

    def context(self, profile: int, inputs: Shapes, outputs: Shapes, stream: Stream) -> "Context":
        """A context for `inputs`, whose profile is set in `stream`; raises DerainError where the plan gives
        other `outputs` for them, DeviceMemoryError."""
        strategy = self._config
        if strategy is None:
            strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        made = self._made("make room for a shape", lambda: self._engine.create_execution_context(strategy))
        return Context(self, made, profile, inputs, outputs, stream)

    def kernels(self) -> bytes:
        """What it has compiled for shapes so far; b"" where the runtime compiles none."""
        kept = None if self._cache is None else self._cache.serialize()
        return b"" if kept is None else bytes(kept)

    def close(self) -> None:
        """Lets the runtime go; its contexts are closed before."""
        self._config = self._cache = self._engine = self._loader = None

    def must(self, answer: object, what: str) -> None:
        """Raises DerainError, or DeviceMemoryError, where the runtime did not answer True to `what`."""
        if answer is not True:
            raise self.failure(f"{self.told} did not take {what}")

    def failure(self, doing: str) -> DerainError:
        """What the runtime says of a failure."""
        why = self._messages.why()
        self._messages.errors.clear()
        if _NO_ROOM.search(why):
            return DeviceMemoryError(f"{doing}: there is not enough memory on the device")
        if _OLD_DRIVER.search(why):
            return DerainError(f"{doing}: there is no NVIDIA driver, or it is too old; install a newer one")
        return DerainError(f"{doing}: {why}")

    def _load(self) -> Any:
        try:
            return self._trt.Runtime(self._messages)
        except (RuntimeError, TypeError) as error:  # TypeError: there is none, say the bindings
            log.debug("%s: %s", self.told, one_line(error))
            return None

    def _made(self, doing: str, make: Any) -> Any:
        made = make()
        if made is None:
            raise self.failure(f"{self.told} can't {doing}")
        return made

    def _configure(self, runtime: Runtime, kernels: bytes) -> None:
        trt, config = self._trt, self._config
        config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if runtime.quirks.graph_strategy:
            config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            self.own_graphs = config.cuda_graph_strategy == trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if runtime.quirks.runtime_cache:
            # LAZY would go on with other kernels from some frame on, and no run would equal the one before.
            strategies = trt.DynamicShapesKernelSpecializationStrategy
            config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
            self._cache = self._made("keep kernels", config.create_runtime_cache)
            if kernels and not self._cache.deserialize(kernels):
                log.info("%s does not take the kernels that were kept; it compiles them anew", self.told)
            self.must(config.set_runtime_cache(self._cache), "a cache of kernels")


class Context:
    """A plan at work on batches of one shape. `scratch`: bytes of device memory that it needs at work."""

    def __init__(
        self,
        plan: LoadedPlan,
        made: Any,
        profile: int,
        inputs: Shapes,
        outputs: Shapes,
        stream: Stream,
    ) -> None:
        self._plan, self._made = plan, made
        self._bound: dict[str, int] = {}
        plan.must(made.set_optimization_profile_async(profile, stream.handle), f"the profile {profile}")
        for name, shape in inputs.items():
            plan.must(made.set_input_shape(name, shape), f"the shape {shape} of {name}")
        if missing := made.infer_shapes():
            raise DerainError(f"{plan.told} wants more than shapes of its inputs: {', '.join(missing)}")
        for name, shape in outputs.items():
            found = tuple(made.get_tensor_shape(name))
            if found != shape:
                raise DerainError(f"the plan gives {name} of shape {found} where {shape} was expected")
        self.scratch = int(made.update_device_memory_size_for_shapes())

    def lend(self, scratch: Buffer) -> None:
        """The memory that it works in from now on; no other context may work in it at the same time."""
        self._made.set_device_memory(scratch.pointer, scratch.nbytes)

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Where inputs are read and outputs written."""
        for name, address in addresses.items():
            if self._bound.get(name) != address:
                self._bound.pop(name, None)
                self._plan.must(self._made.set_tensor_address(name, address), f"the address of {name}")
                self._bound[name] = address

    def execute(self, stream: Stream) -> None:
        """Puts the work into `stream`. Raises DerainError, DeviceMemoryError."""
        self._plan.must(self._made.execute_async_v3(stream.handle), "the work on a batch")

    def close(self) -> None:
        """Lets the runtime's own go."""
        self._made = None


class Repeated:
    """A context's work, which it closes. With `graphs` it is captured when addresses come for the second
    time, and launched as one from then on."""

    def __init__(self, context: Context, graphs: bool) -> None:
        self._context, self._wanted = context, graphs
        self._graphs: dict[tuple[int, ...], Graph] = {}
        self._seen: set[tuple[int, ...]] = set()

    def run(self, addresses: Mapping[str, int], stream: Stream) -> None:
        """Puts the work into `stream`. Raises DerainError, DeviceMemoryError."""
        key = tuple(addresses.values())
        if self._wanted and key in self._seen and key not in self._graphs:
            self._capture(addresses, key, stream)
        if key in self._graphs:
            self._graphs[key].launch(stream)
        else:
            self._execute(addresses, stream)
            self._seen.add(key)

    def close(self) -> None:
        """Lets graphs and context go; nothing of it is at work."""
        self._drop_graphs()
        self._context.close()

    def _execute(self, addresses: Mapping[str, int], stream: Stream) -> None:
        self._context.bind(addresses)
        self._context.execute(stream)

    def _capture(self, addresses: Mapping[str, int], key: tuple[int, ...], stream: Stream) -> None:
        """Makes a graph of what has run once for these addresses; where that fails, none is tried again."""
        try:
            if len(self._graphs) >= MOST_GRAPHS:
                stream.synchronize()
                self._drop_graphs()
            stream.begin_capture()
            try:
                self._execute(addresses, stream)
            except DerainError:
                stream.end_capture().close()
                raise
            self._graphs[key] = stream.end_capture()
        except DerainError as error:
            self._wanted = False
            log.warning("the network runs without a CUDA graph: %s", error)

    def _drop_graphs(self) -> None:
        for graph in self._graphs.values():
            graph.close()
        self._graphs.clear()
