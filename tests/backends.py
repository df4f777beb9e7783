"""The backends for tests of what all do alike: those of the CPU, torch there too, those of a GPU if any."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from derain.engines import machine, onnxruntime_cuda, registry, torch_cuda
from derain.engines.engine import Engine, EngineOptions
from derain.engines.modelfile import ModelFile
from derain.engines.onnxruntime_cuda import OnnxRuntimeCudaEngine
from derain.engines.torch_cuda import TorchEngine

TORCH_ON_CPU = "torch on the CPU"
ALL = (*registry.ON_CPU, TORCH_ON_CPU, "torch_cuda", "onnxruntime-cuda")


def use(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What to ask `open_engine` for, so that `name` of ALL runs, in fp32 where nothing else is asked for.

    Skips the test where this machine can't.
    """
    if name in registry.ON_CPU:
        return name
    if name == TORCH_ON_CPU:
        monkeypatch.setattr(machine, "nvidia_gpus", lambda: (("the CPU",), ""))
        monkeypatch.setattr(torch_cuda, "unavailable", lambda: "")
        on_cpu = exact(lambda model, options: TorchEngine(model, options, "cpu"))
        monkeypatch.setattr(torch_cuda, "opened", on_cpu)
        return "torch_cuda"
    reasons = {one.name: one.reason for one in registry.BACKENDS}
    if reason := reasons[name]():
        pytest.skip(reason)
    monkeypatch.setattr(torch_cuda, "opened", exact(TorchEngine))
    monkeypatch.setattr(onnxruntime_cuda, "opened", exact(OnnxRuntimeCudaEngine))
    return name


def exact(make: Callable[[ModelFile, EngineOptions], Engine]) -> Callable[[ModelFile, EngineOptions], Engine]:
    """`make`, with fp32 for the precision "auto" of a network in fp32."""

    def made(model: ModelFile, options: EngineOptions) -> Engine:
        plain = options.precision == "auto" and model.card.precision == "fp32"
        return make(model, replace(options, precision="fp32") if plain else options)

    return made
