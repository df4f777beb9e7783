"""The choice of a backend: in order, with each refusal's reason, and nothing hidden."""

import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx_models
import pytest
import trt_run_fake

from derain.engines import (
    machine,
    onnxruntime,
    onnxruntime_cuda,
    openvino,
    registry,
    tensorrt,
    tensorrt_rtx,
    torch_cuda,
)
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.registry import BackendStatus, availability, open_engine

REASON = "the driver is on holiday"


def take_away(patch: pytest.MonkeyPatch, *backends: ModuleType) -> None:
    for backend in backends:
        patch.setattr(backend, "unavailable", lambda: REASON)


def test_auto_takes_the_first(tmp_path: Path) -> None:
    with open_engine(onnx_models.identity(tmp_path)) as engine:
        assert engine.backend == registry.ON_CPU[0] == "openvino"


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: ((), f"{REASON} (libcuda.so.1)"))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU and nothing installed to use it with."""
    monkeypatch.setattr(machine, "nvidia_gpus", lambda: (("NVIDIA X",), ""))
    for module in (tensorrt, tensorrt_rtx, torch_cuda, onnxruntime_cuda):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(
            module, "unavailable", lambda name=name: f"no package for {name} (pip install it)"
        )


@pytest.mark.usefixtures("no_card")
def test_a_machine_without_a_card_is_told_so_once_and_in_few_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), open_engine(onnx_models.identity(tmp_path)) as engine:
        assert engine.backend_reason == REASON
    told = [record for record in caplog.records if "not taken" in record.message]
    assert {record.levelname for record in told} == {"INFO"}
    assert f"backend tensorrt not taken: the backend tensorrt can't run here: {REASON}" in caplog.text


@pytest.mark.usefixtures("card")
def test_a_card_that_is_not_used_is_told_with_each_reason(tmp_path: Path) -> None:
    with open_engine(onnx_models.identity(tmp_path)) as engine:
        assert engine.backend_reason == (
            "tensorrt: no package for tensorrt; tensorrt_rtx: no package for tensorrt_rtx; "
            "torch_cuda: no package for torch_cuda; onnxruntime-cuda: no package for onnxruntime_cuda"
        )
    with open_engine(onnx_models.identity(tmp_path), EngineOptions("openvino")) as engine:
        assert engine.backend_reason == "", "it was asked for"


@pytest.mark.usefixtures("no_card")
def test_without_a_card_nothing_for_cards_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (tensorrt, tensorrt_rtx, torch_cuda, onnxruntime_cuda):
        monkeypatch.setattr(module, "unavailable", lambda: pytest.fail("it was looked for"))
    open_engine(onnx_models.identity(tmp_path)).close()


def test_the_order_of_auto() -> None:
    assert [backend.name for backend in registry._candidates("auto")] == [
        *("tensorrt", "tensorrt_rtx", "torch_cuda", "onnxruntime-cuda", "openvino", "onnxruntime")
    ]


def test_the_version_of_what_a_backend_runs_on_is_known() -> None:
    assert registry.version_of("onnxruntime") == onnxruntime.runtime().__version__
    assert registry.version_of("onnxruntime-cuda") == machine.installed("onnxruntime-gpu")


def test_auto_takes_the_card_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt_run_fake.attach(monkeypatch)
    with open_engine(onnx_models.identity(tmp_path), EngineOptions(cache_dir=tmp_path)) as engine:
        assert engine.backend == registry.BACKENDS[0].name == "tensorrt"
        assert (engine.precision, engine.precision_reason) == ("fp16", "a card takes fp16 by itself")


def test_auto_goes_on_to_the_next_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take_away(monkeypatch, openvino)
    with caplog.at_level(logging.WARNING), open_engine(onnx_models.identity(tmp_path)) as engine:
        assert engine.backend == "onnxruntime"
    assert f"backend openvino not taken: the backend openvino can't run here: {REASON}" in caplog.text


def test_auto_goes_on_after_a_failure_to_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise DerainError("it broke")

    monkeypatch.setattr(openvino, "OpenVINOEngine", fail)
    with caplog.at_level(logging.WARNING), open_engine(onnx_models.identity(tmp_path)) as engine:
        assert engine.backend == "onnxruntime"
    assert "backend openvino not taken: it broke" in caplog.text


def test_a_named_backend_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch, openvino)
    with pytest.raises(DerainError, match=f"^the backend openvino can't run here: {REASON}$"):
        open_engine(onnx_models.identity(tmp_path), EngineOptions(backend="openvino"))


@pytest.mark.usefixtures("no_card")
def test_no_backend_gives_every_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch, openvino, onnxruntime)
    reasons = rf": tensorrt, tensorrt_rtx, .*: {REASON} \(libcuda.so.1\); openvino, onnxruntime: {REASON}$"
    with pytest.raises(DerainError, match=reasons) as caught:
        open_engine(onnx_models.identity(tmp_path))
    assert caught.value.exit_code == 1


def test_an_option_that_no_backend_takes_is_a_usage_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UsageError, match=r"openvino .* 'fp4'.*; onnxruntime: .* 'fp4'"):
        open_engine(onnx_models.identity(tmp_path), EngineOptions(precision="fp4"))
    assert not caplog.records, "the error says it all"


def test_unknown_backends_are_told_the_known_ones(tmp_path: Path) -> None:
    known = "auto, cpu, tensorrt, .*openvino, onnxruntime"
    with pytest.raises(UsageError, match=f"no backend 'cuda'; the backends are {known}"):
        open_engine(onnx_models.identity(tmp_path), EngineOptions(backend="cuda"))


def test_a_bad_model_is_not_tried_on_every_backend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^the model .* has no derain card"):
        open_engine(onnx_models.without_card(tmp_path))


def test_availability_keeps_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    here = (BackendStatus("openvino", True, ""), BackendStatus("onnxruntime", True, ""))
    assert set(here) <= set(availability())
    take_away(monkeypatch, openvino)
    assert BackendStatus("openvino", False, REASON) in availability()


def test_threads_reach_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    package = onnxruntime.runtime()
    session = package.InferenceSession

    def spy(graph: bytes, options: Any, **more: Any) -> Any:
        given.append(options)
        return session(graph, options, **more)

    monkeypatch.setattr(package, "InferenceSession", spy)
    open_engine(onnx_models.identity(tmp_path), EngineOptions("onnxruntime", threads=1)).close()
    assert given[0].intra_op_num_threads == 1


@pytest.mark.parametrize("module", [openvino, onnxruntime])
def test_a_package_that_does_not_load_is_told(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(module, "runtime", broken)
    assert "can't be loaded: libgomp.so.1: cannot open" in module.unavailable()


@pytest.mark.parametrize("module", [openvino, onnxruntime])
def test_a_missing_package_is_named(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module.__name__.rpartition(".")[2]
    monkeypatch.setitem(sys.modules, name, None)
    assert module.unavailable() == f"the package {name} is not installed (pip install {name})"
