"""`derain engine build`: over a TensorRT of plain Python whose plans ONNX Runtime runs."""

import json
from pathlib import Path
from typing import Any

import onnx_models
import pytest
import trt_run_fake
from trt_run_fake import FACTS, FakeGpu, Package, fake_build

from derain.engines.device import opening
from derain.engines.device.seam import DeviceFacts
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.modelfile import open_model
from derain.engines.plans import folder, planning
from derain.engines.tensorrt_rtx import TensorRTRTXEngine
from derain.pipeline.cli import run

RTX = "1.7.1.116"


@pytest.fixture
def network(shelf: Path) -> Path:
    """On the shelf, with maps."""
    return onnx_models.mapped(shelf, "rain")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Package:
    """A machine with a card, an empty cache, and plans that are compared with the CPU."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return trt_run_fake.attach(monkeypatch, RTX, check=True)


@pytest.fixture
def no_card(card: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package, and without a card."""
    monkeypatch.setattr(opening, "unavailable", lambda: "no NVIDIA driver")


def build(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["engine", "build", *arguments, "--json"]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    return made


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    assert run(["engine", "build", *arguments]) == code
    return capsys.readouterr().err


@pytest.mark.usefixtures("network", "no_card")
def test_plans_for_other_cards_are_built_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    made = build(capsys, "rain", "--capability", "8.9,86,120", "--shape", "46x30")
    key = made["manifest"]["key"]
    assert key["target"]["capabilities"] == ["86", "89", "120"]
    assert (key["target"]["device"], key["target"]["driver"]) == ("", "")
    assert key["shapes"] == ["1x32x48"], "sizes are continued to what the network takes"
    assert key["precision"] == "fp16"
    assert made["manifest"]["parity"] is None
    assert Path(made["path"]).exists()
    assert run(["engine", "build", "rain", "--capability", "86,89,120", "--shape", "48x32"]) == 0
    told = capsys.readouterr()
    assert "building" not in told.err, "it is there"
    assert told.out.endswith("any device of capability 86, 89, 120, 0.0 MiB, not checked yet\n")


@pytest.mark.usefixtures("network", "no_card")
def test_it_tells_what_it_does_meanwhile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(graph: Any, runtime: Any, options: Any, progress: Any) -> Any:
        assert progress("timing kernels", 0.6)
        return fake_build(graph, runtime, options, progress)

    monkeypatch.setattr(planning, "build_plan", slow)
    assert run(["engine", "build", "rain", "--capability", "89", "--shape", "48x32"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("derain: building the plan rain in fp16 for tensorrt_rtx, 1x32x48\n")
    assert "50 % built (timing kernels)\n" in told


@pytest.mark.usefixtures("no_card")
def test_what_was_built_ahead_is_what_a_run_takes(
    network: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build(capsys, "rain", "--capability", "86,89", "--precision", "fp32")
    monkeypatch.setattr(opening, "unavailable", lambda: "")

    def built_again(*build: Any) -> None:
        raise DerainError("it was to be there")

    monkeypatch.setattr(planning, "build_plan", built_again)
    options = EngineOptions("tensorrt_rtx", "fp32", scores=True, threads=1)
    with TensorRTRTXEngine(open_model(network), options) as engine:
        assert (engine.backend, engine.precision) == ("tensorrt_rtx", "fp32")
    assert run(["engine", "list"]) == 0
    assert capsys.readouterr().out.endswith("no difference to fp32\n"), "now it is checked"


@pytest.mark.usefixtures("network", "card")
@pytest.mark.parametrize("size", [[], ["--shape", "48x32"]])
def test_the_plan_for_the_card_here_is_checked(capsys: pytest.CaptureFixture[str], size: list[str]) -> None:
    manifest = build(capsys, "rain", "--precision", "fp32", "--bits", "16", *size)["manifest"]
    assert manifest["parity"]["reference"] == "openvino fp32"
    assert {one["probe"] for one in manifest["parity"]["figures"]} == {
        "flat",
        "noise",
        "photo",
        "rain",
        "tiles",
    }
    assert manifest["key"]["target"]["capabilities"] == ["".join(map(str, FACTS.capability))]
    assert ["dtype", "uint16"] in manifest["key"]["options"]
    assert ["scores", "True"] in manifest["key"]["options"]


@pytest.mark.usefixtures("network", "no_card")
def test_what_can_not_be_built_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    told = "there is no GPU here to build for (no NVIDIA driver); name cards with --capability 86,89,120"
    assert refused(capsys, "rain") == f"derain: {told}\n"
    assert "can't build for compute capability 90; it takes 75" in refused(
        capsys, "rain", "--capability", "90"
    )
    assert "such as 86,89,120, not '86;89'" in refused(capsys, "rain", "--capability", "86;89")
    for shape in ("1280", "0x720", "1280*720"):
        assert f"such as 1280x720, not '{shape}'" in refused(capsys, "rain", "--shape", shape)
    assert "there is no INT8 file" in refused(capsys, "rain", "--capability", "86", "--precision", "int8")
    assert "there is no network 'snow'" in refused(capsys, "snow", "--capability", "86")


@pytest.mark.usefixtures("network")
def test_a_card_that_the_backend_does_not_serve_is_told(
    card: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    card.make = lambda: FakeGpu(DeviceFacts("NVIDIA Fake H200", (9, 0), (13, 1), 1 << 30))
    assert "does not serve NVIDIA Fake H200 (compute capability 90)" in refused(capsys, "rain")


@pytest.mark.usefixtures("network", "no_card")
def test_a_plan_that_could_not_be_kept_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folder, "against_writing", lambda place: f"{place} can't be written: Read-only")
    for more in ([], ["--json"]):
        told = refused(capsys, "rain", "--capability", "89", "--shape", "48x32", *more, code=1)
        assert "can't be written: Read-only" in told
        assert told.endswith("was built, and could not be kept\n")
