"""The backend "onnxruntime-cuda": ONNX Runtime's kernels for NVIDIA GPUs, in the package onnxruntime-gpu."""

import contextlib
import io

import onnx

from derain.engines import halves, machine, onnxruntime
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.modelfile import ModelFile
from derain.engines.near import in_halves
from derain.engines.onnxruntime import CPU, OnnxRuntimeEngine, Provider

CUDA = "CUDAExecutionProvider"
INSTALL = (
    'pip install "derain[onnxruntime-gpu]", then pip uninstall -y onnxruntime, then '
    "pip install --force-reinstall --no-deps onnxruntime-gpu"
)
"""The two packages share a folder, so that only one of them can be there."""


def unavailable() -> str:
    """Why this machine can't run it; "" where it can."""
    return lacks(CUDA, "CUDA")


def lacks(provider: str, told: str) -> str:
    """Why there is no such provider here; "" where there is."""
    if no_gpu := machine.nvidia_gpus()[1]:
        return no_gpu
    if reason := onnxruntime.unavailable():
        return reason
    if provider not in onnxruntime.runtime().get_available_providers():
        return f"the installed onnxruntime has no {told} ({INSTALL})"
    return ""


def opened(model: ModelFile, options: EngineOptions) -> "OnnxRuntimeCudaEngine":
    """The engine of the registry: with the precision "auto" it runs in fp16 where that is near to fp32."""

    def make(chosen: EngineOptions) -> OnnxRuntimeCudaEngine:
        return OnnxRuntimeCudaEngine(model, chosen)

    return in_halves(model, options, make, make)


class OnnxRuntimeCudaEngine(OnnxRuntimeEngine):
    """One session for all shapes; what it has no kernel for runs on the CPU."""

    backend = "onnxruntime-cuda"
    precisions = ("fp16", "fp32")
    provider = CUDA

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        load_libraries()
        super().__init__(model, options)
        running = self._session.get_providers()
        if self.provider not in running:  # of that it says nothing by itself
            self.close()
            raise DerainError(
                f"{self.backend} gave the network to {', '.join(running)} in place of {self.provider}, whose "
                f"libraries do not load; those it was built for come with derain[onnxruntime-gpu]"
            )

    def _graph(self, model: ModelFile, options: EngineOptions) -> onnx.ModelProto:
        graph = super()._graph(model, options)
        return halves.to_half(graph, self.precision) if self.precision in halves.KINDS else graph

    def _providers(self, options: EngineOptions) -> list[Provider]:
        return [(CUDA, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}), CPU]


def load_libraries() -> None:
    """Those of CUDA and cuDNN that came as Python packages, which the system's loader does not find."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        onnxruntime.runtime().preload_dlls()
