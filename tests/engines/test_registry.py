"""The choice of a backend: in order, with each refusal's reason, and nothing hidden."""

import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx_models
import pytest
import trt_run_fake

from derain.engines import onnxruntime, openvino, registry, tensorrt
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


def test_a_machine_without_a_card_is_not_told_so_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(monkeypatch, tensorrt)
    with caplog.at_level(logging.INFO):
        open_engine(onnx_models.identity(tmp_path)).close()
    told = [record for record in caplog.records if "backend tensorrt not taken" in record.message]
    assert [record.levelname for record in told] == ["INFO"] and REASON in told[0].message


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


def test_no_backend_gives_every_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch, openvino, onnxruntime, tensorrt)
    reasons = rf"tensorrt: .*{REASON}; .*openvino: .*{REASON}; onnxruntime: .*{REASON}"
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
    assert availability()[-2:] == here
    take_away(monkeypatch, openvino)
    assert availability()[-2] == BackendStatus("openvino", False, REASON)


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
