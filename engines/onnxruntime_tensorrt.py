"""The backend "onnxruntime-tensorrt": TensorRT as ONNX Runtime drives it, for who asks for it by name.

It builds a plan for each new shape in the midst of a run, with no word of its progress; the backend
"tensorrt" is the way to TensorRT that knows derain's frames.
"""

import importlib.util

from derain.engines import cache
from derain.engines.engine import EngineOptions
from derain.engines.modelfile import ModelFile
from derain.engines.near import in_halves
from derain.engines.onnxruntime import Provider
from derain.engines.onnxruntime_cuda import OnnxRuntimeCudaEngine, lacks

TENSORRT = "TensorrtExecutionProvider"


def unavailable() -> str:
    """Why this machine can't run it; "" where it can."""
    if reason := lacks(TENSORRT, "TensorRT"):
        return reason
    if importlib.util.find_spec("tensorrt") is None:
        return "the package tensorrt, whose libraries it needs, is not installed (pip install tensorrt)"
    return ""


def opened(model: ModelFile, options: EngineOptions) -> "OnnxRuntimeTensorRTEngine":
    """The engine of the registry: with the precision "auto" it runs in fp16 where that is near to fp32."""

    def make(chosen: EngineOptions) -> OnnxRuntimeTensorRTEngine:
        return OnnxRuntimeTensorRTEngine(model, chosen)

    return in_halves(model, options, make, make)


class OnnxRuntimeTensorRTEngine(OnnxRuntimeCudaEngine):
    """One session for all shapes; CUDA runs what TensorRT does not take, and the CPU what CUDA does not."""

    backend = "onnxruntime-tensorrt"
    provider = TENSORRT

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        importlib.import_module("tensorrt")  # loads its libraries, which the system's loader does not find
        super().__init__(model, options)

    def _providers(self, options: EngineOptions) -> list[Provider]:
        kept = {}
        if (place := cache.prepare(options.cache_dir, self.backend)) is not None:
            kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(place)}
        return [(TENSORRT, kept), *super()._providers(options)]
