"""ONNX Runtime on a card: what it is asked for, and that it is caught where it runs on the CPU instead."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx_models
import pytest

from derain.engines import machine, models, onnxruntime, onnxruntime_cuda, onnxruntime_tensorrt
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.modelfile import open_model
from derain.engines.onnxruntime_cuda import CUDA, OnnxRuntimeCudaEngine, opened
from derain.engines.onnxruntime_tensorrt import TENSORRT, OnnxRuntimeTensorRTEngine
from derain.engines.registry import open_engine


class OnACard:
    """The package onnxruntime on a machine with a GPU; a session computes on the CPU and denies it.

    `works`: those that start; others give the network to the CPU without a word.
    """

    def __init__(self, works: tuple[str, ...] = (CUDA, TENSORRT)) -> None:
        self._package, self.works = onnxruntime.runtime(), works
        self.asked: list[Any] = []
        self.graphs: list[onnx.ModelProto] = []
        self.preloaded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._package, name)

    def get_available_providers(self) -> list[str]:
        return [*self.works, onnxruntime.CPU]

    def preload_dlls(self) -> None:
        print("Failed to load libcublas.so.13")  # noqa: T201 - as the package does
        self.preloaded += 1

    def InferenceSession(self, graph: bytes, options: Any, providers: list[Any]) -> Any:  # noqa: N802
        self.asked = providers
        self.graphs.append(onnx.load_model_from_string(graph))
        session = self._package.InferenceSession(graph, options, providers=[onnxruntime.CPU])
        names = [one if isinstance(one, str) else one[0] for one in providers]
        running = [name for name in names if name in (*self.works, onnxruntime.CPU)]
        return SimpleNamespace(
            io_binding=session.io_binding,
            run_with_iobinding=session.run_with_iobinding,
            get_providers=lambda: running,
        )


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> OnACard:
    made = OnACard()
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: (("NVIDIA X",), ""))
    monkeypatch.setattr(onnxruntime, "runtime", lambda: made)
    return made


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_it_computes_on_cuda_exactly_and_quietly(
    tmp_path: Path, package: OnACard, capsys: pytest.CaptureFixture[str]
) -> None:
    path, batch = onnx_models.unshuffle(tmp_path), noise(1, 8, 8, 3)
    with (
        OnnxRuntimeCudaEngine(open_model(path), EngineOptions(precision="fp32")) as engine,
        open_engine(path, EngineOptions("openvino")) as other,
    ):
        assert np.abs(engine.infer(batch).astype(int) - other.infer(batch)).max() <= 1
        assert (engine.backend, engine.precision) == ("onnxruntime-cuda", "fp32")
    (name, options), cpu = package.asked
    assert (name, options["use_tf32"], cpu) == (CUDA, "0", "CPUExecutionProvider")
    assert package.preloaded and not capsys.readouterr().out, "stdout belongs to --json"


@pytest.mark.parametrize("engine", [OnnxRuntimeCudaEngine, OnnxRuntimeTensorRTEngine])
def test_a_network_that_ended_up_on_the_cpu_is_not_taken(
    tmp_path: Path, package: OnACard, engine: type[OnnxRuntimeCudaEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace())
    package.works = ()
    with pytest.raises(
        DerainError, match=r"gave the network to CPUExecutionProvider in place of \w+, whose lib"
    ):
        engine(open_model(onnx_models.identity(tmp_path)), EngineOptions(precision="fp32"))


def test_auto_is_fp16_and_the_graph_is(tmp_path: Path, package: OnACard) -> None:
    with opened(open_model(onnx_models.unshuffle(tmp_path)), EngineOptions()) as engine:
        assert engine.precision == "fp16"
        assert engine.precision_reason.startswith("the fastest on a GPU; ")
    types = {tensor.data_type for tensor in package.graphs[-1].graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types


def test_tensorrt_keeps_what_it_builds_in_the_cache(
    tmp_path: Path, package: OnACard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace())
    options = EngineOptions(precision="fp32", cache_dir=tmp_path / "cache")
    OnnxRuntimeTensorRTEngine(open_model(onnx_models.identity(tmp_path)), options).close()
    assert [one if isinstance(one, str) else one[0] for one in package.asked] == [
        TENSORRT,
        CUDA,
        onnxruntime.CPU,
    ]
    assert package.asked[0][1]["trt_engine_cache_path"] == str(tmp_path / "cache" / "onnxruntime-tensorrt")


@pytest.mark.parametrize("backend", [onnxruntime_cuda, onnxruntime_tensorrt])
def test_what_is_missing_is_told(backend: Any, package: OnACard, monkeypatch: pytest.MonkeyPatch) -> None:
    package.works = ()
    assert "the installed onnxruntime has no " in backend.unavailable()
    assert "pip uninstall -y onnxruntime" in backend.unavailable(), "which shares its folder"
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: ((), "no NVIDIA driver"))
    assert backend.unavailable() == "no NVIDIA driver"


def test_with_all_it_needs_cuda_is_there(package: OnACard) -> None:
    assert onnxruntime_cuda.unavailable() == ""


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_on_a_card_it_computes_what_the_cpu_does(precision: str) -> None:
    if reason := onnxruntime_cuda.unavailable():
        pytest.skip(reason)
    path = models.shipped()[0]
    side = 2 * open_model(path).card.multiple_of
    batch = noise(2, side, 2 * side, 3)
    with (
        OnnxRuntimeCudaEngine(open_model(path), EngineOptions(precision=precision)) as engine,
        open_engine(path, EngineOptions("onnxruntime", "fp32")) as other,
    ):
        apart = np.abs(engine.infer(batch).astype(int) - other.infer(batch))
    assert apart.max() <= (1 if precision == "fp32" else 4)
