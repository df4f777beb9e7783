"""Which file of a network runs in which precision, and that the reason is told."""

import re
from pathlib import Path

import clips
import onnx_models
import pytest

from derain.engines import machine
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.registry import open_engine
from derain.pipeline.cli import run

VNNI = ("AVX2", "AVX512-VNNI")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """With an INT8 file beside it, which is one by its card only."""
    made = onnx_models.identity(tmp_path, name="rain", precision="int8")
    made.rename(tmp_path / "rain.int8.onnx")
    return onnx_models.identity(tmp_path, name="rain")


def precision(network: Path, asked: str = "auto", backend: str = "openvino") -> tuple[str, str]:
    with open_engine(network, EngineOptions(backend=backend, precision=asked)) as engine:
        return engine.precision, engine.precision_reason


def with_features(monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...] | None) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: features)


@pytest.mark.parametrize(
    ("features", "taken", "why"),
    [
        (VNNI, "int8", "the processor has AVX512-VNNI"),
        (("AVX-VNNI", "AMX-INT8"), "int8", "the processor has AVX-VNNI, AMX-INT8"),
        (("AVX2", "FMA"), "fp32", "the processor has no VNNI"),
        (None, "fp32", "the system does not tell whether the processor has VNNI"),
    ],
)
def test_auto_takes_int8_where_the_processor_is_fast_with_it(
    network: Path,
    monkeypatch: pytest.MonkeyPatch,
    features: tuple[str, ...] | None,
    taken: str,
    why: str,
) -> None:
    with_features(monkeypatch, features)
    assert precision(network) == (taken, why)


def test_auto_stays_with_fp32_where_there_is_no_int8_or_the_backend_is_slow_with_it(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_features(monkeypatch, VNNI)
    assert precision(network, backend="onnxruntime") == ("fp32", "onnxruntime is slower in INT8")
    other = onnx_models.identity(tmp_path, name="other")
    assert precision(other) == ("fp32", "no other.int8.onnx beside it")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_what_is_asked_for_is_taken(network: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    with_features(monkeypatch, ())
    assert precision(network, "int8", backend) == ("int8", "")
    with_features(monkeypatch, VNNI)
    assert precision(network, "fp32", backend) == ("fp32", "")
    assert precision(network.with_name("rain.int8.onnx"), "auto", backend) == ("int8", "the file is INT8")


def test_int8_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    network = onnx_models.identity(tmp_path)
    with pytest.raises(UsageError, match=r"^there is no INT8 file \S*identity\.int8\.onnx of the network"):
        open_engine(network, EngineOptions(precision="int8"))


def test_an_int8_file_with_other_maps_is_refused(tmp_path: Path) -> None:
    onnx_models.mapped(tmp_path, name="rain", precision="int8").rename(tmp_path / "rain.int8.onnx")
    network = onnx_models.attentive(tmp_path, name="rain")
    with pytest.raises(
        UsageError, match=r"rain\.int8\.onnx has other attention maps than \S*rain\.onnx; make"
    ):
        open_engine(network, EngineOptions(precision="int8", attention=True))


def test_an_int8_file_with_other_states_is_refused(tmp_path: Path) -> None:
    onnx_models.recurrent(tmp_path, "rain", factor=8, precision="int8").rename(tmp_path / "rain.int8.onnx")
    network = onnx_models.recurrent(tmp_path, "rain")
    with pytest.raises(UsageError, match=r"rain\.int8\.onnx has other states than \S*rain\.onnx; make it"):
        open_engine(network, EngineOptions(precision="int8"))


def test_fp32_of_an_int8_file_is_refused(network: Path) -> None:
    with pytest.raises(UsageError, match=r"rain\.int8\.onnx is int8; give the fp32 file"):
        open_engine(network.with_name("rain.int8.onnx"), EngineOptions(precision="fp32"))


@pytest.mark.parametrize("other", [{"name": "rain"}, {"name": "snow", "precision": "int8"}])
def test_a_file_of_another_network_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    with_features(monkeypatch, VNNI)
    onnx_models.identity(tmp_path, **other).rename(tmp_path / "rain.int8.onnx")
    network = onnx_models.identity(tmp_path, name="rain")
    for asked in ("auto", "int8"):
        with pytest.raises(UsageError, match=r"rain 1 int8, was looked for; make it again"):
            precision(network, asked)


def test_the_first_line_of_a_run_tells_it(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_features(monkeypatch, VNNI)
    clip = clips.Clip(times=range(2)).write(tmp_path / "rain.mp4")
    assert run(["video", str(clip), str(tmp_path / "dry.mp4"), "--model", str(network)]) == 0
    told = re.compile(r"rain 1, openvino( \(.*?\))? int8 \(the processor has AVX512-VNNI\), tiles")
    assert told.search(capsys.readouterr().err)


def test_a_card_of_another_precision_is_refused(tmp_path: Path) -> None:
    network = onnx_models.identity(tmp_path, precision="int4")
    with pytest.raises(UsageError, match=r"has precision = 'int4'; it must be fp32 or int8 or fp8$"):
        open_engine(network)
