"""The backend "onnxruntime": runs on every machine it has a wheel for."""

import importlib
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy.typing as npt
import onnx

from derain.engines.base import GraphEngine, choose_precision, failure, one_line, precisions_of
from derain.engines.edges import PIXELS_IN, PIXELS_OUT, with_pixel_edges
from derain.engines.engine import EngineOptions, Pixels, Scores, States
from derain.engines.maps import SCORES
from derain.engines.modelfile import ModelFile

CPU = "CPUExecutionProvider"
Provider: TypeAlias = str | tuple[str, dict[str, str]]
"""With its options, where it has any."""


def runtime() -> Any:
    """The package onnxruntime with its telemetry (a matter of Windows) switched off."""
    package = importlib.import_module("onnxruntime")
    package.disable_telemetry_events()
    return package


def unavailable() -> str:
    """Why this machine can't run it; "" where it can."""
    try:
        runtime()
    except ModuleNotFoundError:
        return "the package onnxruntime is not installed (pip install onnxruntime)"
    except (ImportError, OSError) as error:
        return f"the package onnxruntime can't be loaded: {one_line(error)}"
    return ""


class OnnxRuntimeEngine(GraphEngine):
    """One session on the CPU for all shapes."""

    backend = "onnxruntime"
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    """What it runs fp32 networks in, the default first."""

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        super().__init__(model, options)
        takes = precisions_of(model.card, self.precisions)
        self.precision = choose_precision(self.backend, options.precision, takes)
        ort = runtime()
        graph = self._graph(model, options).SerializeToString()
        chosen = _session_options(ort, options, self.precision)
        try:
            self._session = ort.InferenceSession(graph, chosen, providers=self._providers(options))
        except Exception as error:  # its errors have no base class of their own
            raise failure(error, f"{self.backend} can't compile the model {model.path}") from error
        self._binding = self._session.io_binding()

    def _graph(self, model: ModelFile, options: EngineOptions) -> onnx.ModelProto:
        """What the session is made of, in the engine's precision."""
        return with_pixel_edges(model, options)

    def _providers(self, options: EngineOptions) -> list[Provider]:
        """What computes, as ONNX Runtime calls it, each before those for what it leaves."""
        return [CPU]

    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        try:
            _bind(self._binding.bind_input, PIXELS_IN, batch)
            _bind(self._binding.bind_output, PIXELS_OUT, out)
            for pair, (read, written) in zip(self.card.states, states, strict=True):
                _bind(self._binding.bind_input, pair.taken, read)
                _bind(self._binding.bind_output, pair.given, written)
            if scores is not None:
                _bind(self._binding.bind_output, SCORES, scores)
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # its errors have no base class of their own
            doing = (
                f"{self.backend} failed on a batch of shape {batch.shape} with the model {self.card.name!r}"
            )
            raise failure(error, doing) from error

    def _free(self) -> None:
        del self._binding, self._session


def _bind(bind: Callable[..., None], name: str, array: npt.NDArray[Any]) -> None:
    """Has the session use `array` itself."""
    bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


def _session_options(ort: Any, options: EngineOptions, precision: str) -> Any:
    chosen = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    # With all of it, 1.31 makes convolutions of integers of those in FP8, which it then refuses.
    chosen.graph_optimization_level = levels.ORT_ENABLE_BASIC if precision == "fp8" else levels.ORT_ENABLE_ALL
    chosen.intra_op_num_threads = options.threads or 0
    chosen.log_severity_level = 4  # errors are not written to stderr; they come back as exceptions
    # Threads that spin between frames would take the cores from the decoder and the encoder.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen
