"""The backend "openvino": the fastest way measured on CPUs."""

import functools
import importlib
import sys
from collections import OrderedDict
from typing import Any

from derain.engines import cache
from derain.engines.base import GraphEngine, choose_precision, failure, one_line, precisions_of
from derain.engines.edges import with_pixel_edges
from derain.engines.engine import EngineOptions, Pixels, Scores, States
from derain.engines.modelfile import ModelFile

KEPT_SHAPES = 12
KEPT_PIXELS = 4_000_000
"""Compiled shapes that stay ready: so many, while their pixels together (some 70 bytes each) are not more."""

_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32", "fp8": "f32"}
"""INT8 and FP8 are in the graph; the hint is for what they leave in other floats."""
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16"}


def runtime() -> Any:
    """The package openvino, imported with its telemetry switched off.

    Importing it sends an event through the package openvino_telemetry, where that can be imported;
    made impossible to import, openvino puts a stub in its place. It stays so for the whole process.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return importlib.import_module("openvino")


@functools.cache
def core() -> Any:
    """The one `openvino.Core` of this process, which stays for good.

    Its CPU plugin gives the thread that loads it an alternate signal stack, and at its end frees that and
    puts back the one it had found. Of several, closed in another order than they were opened, the last would
    put back a freed one, and the next signal with a handler, Ctrl-C for one, would kill the process.
    """
    return runtime().Core()


def unavailable() -> str:
    """Why this machine can't run it; "" where it can."""
    try:
        runtime()
    except ModuleNotFoundError:
        return "the package openvino is not installed (pip install openvino)"
    except (ImportError, OSError) as error:
        return f"the package openvino can't be loaded: {one_line(error)}"
    return ""


def precisions(core: Any) -> tuple[str, ...]:
    """What this processor runs networks in, the default first; OpenVINO replaces others without a word."""
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(name for name, capability in _CAPABILITIES.items() if capability in able)


class OpenVINOEngine(GraphEngine):
    """Compiles the graph for each input shape when it first comes: a fifth faster than one dynamic shape."""

    backend = "openvino"

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        super().__init__(model, options)
        self._ov = runtime()
        self._core = core()
        takes = precisions_of(model.card, precisions(self._core))
        self.precision = choose_precision(self.backend, options.precision, takes)
        self._config = self._configure(options)
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        graph = with_pixel_edges(model, options).SerializeToString()
        try:
            self._model = self._core.read_model(graph)
        except RuntimeError as error:
            raise failure(error, f"openvino can't read the model {model.path}") from error
        self._compile(None)  # only to find out now whether it can

    def _configure(self, options: EngineOptions) -> dict[str, Any]:
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            # Decoder and encoder use the same cores: threads that can't move would wait for them.
            "ENABLE_CPU_PINNING": False,
        }
        if options.threads is not None:
            config["INFERENCE_NUM_THREADS"] = options.threads
        place = cache.prepare(options.cache_dir, self.backend)
        return config if place is None else config | {"CACHE_DIR": str(place)}

    def _compile(self, shape: tuple[int, ...] | None) -> Any:
        """The graph compiled for batches of `shape` (N, H, W, 3), for all shapes where None."""
        model = self._model.clone()
        wanted = "" if shape is None else f" for batches of shape {shape}"
        try:
            if shape is not None:
                states = [list(spec.shape(*shape[:3])) for spec in self.states]
                model.reshape(dict(enumerate([list(shape), *states])))
            return self._core.compile_model(model, "CPU", self._config)
        except (RuntimeError, MemoryError) as error:
            raise failure(error, f"openvino can't compile the model {self.card.name!r}{wanted}") from error

    def _request(self, shape: tuple[int, ...]) -> Any:
        request = self._requests.pop(shape, None)
        if request is None:
            self._make_room(shape)
            request = self._compile(shape).create_infer_request()
        self._requests[shape] = request
        return request

    def _make_room(self, shape: tuple[int, ...]) -> None:
        """Lets the least recently used shapes go, so that `shape` fits in beside the others."""
        while self._requests:
            pixels = sum(n * height * width for n, height, width, _ in (*self._requests, shape))
            if len(self._requests) < KEPT_SHAPES and pixels <= KEPT_PIXELS:
                return
            self._requests.popitem(last=False)

    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        request = self._request(batch.shape)
        try:
            request.set_input_tensor(0, self._ov.Tensor(batch, shared_memory=True))
            request.set_output_tensor(0, self._ov.Tensor(out, shared_memory=True))
            for number, (read, written) in enumerate(states, 1):  # names may be lost in compiling
                request.set_input_tensor(number, self._ov.Tensor(read, shared_memory=True))
                request.set_output_tensor(number, self._ov.Tensor(written, shared_memory=True))
            if scores is not None:
                request.set_output_tensor(len(states) + 1, self._ov.Tensor(scores, shared_memory=True))
            request.infer()
        except (RuntimeError, MemoryError) as error:
            doing = f"openvino failed on a batch of shape {batch.shape} with the model {self.card.name!r}"
            raise failure(error, doing) from error

    def _free(self) -> None:
        self._requests.clear()
        del self._model, self._core
