"""Which plans the engine takes, what they are compared with, and why a machine can run none."""

import json
from pathlib import Path

import numpy as np
import onnx_models
import pytest
import trt_run_fake
from trt_machine import KINDS, RTX_VERSION, Machine, noise
from trt_run_fake import FACTS, FakeGpu

from derain.engines import tensorrt, trt
from derain.engines.build import Profile
from derain.engines.device.seam import DeviceFacts
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model
from derain.engines.plans.key import Target
from derain.engines.plans.obtain import obtain
from derain.engines.plans.planning import wanted
from derain.engines.plans.store import Store, StoredPlan

FIXED = Profile.fixed((1, 8, 16))


def test_a_shape_beyond_the_usual_ones_has_a_plan_of_its_own(machine: Machine, tmp_path: Path) -> None:
    path = onnx_models.identity(tmp_path)
    wide = noise((9, 4, 8, 3))
    for _ in range(2):
        engine = machine.opened(path)
        assert np.array_equal(engine.infer(wide), wide)
        assert np.array_equal(engine.infer(wide[:1]), wide[:1])
        engine.close()
    built = [call[2] for call in machine.package.calls if call[0] == "build_plan"]
    assert [len(profiles) for profiles in built] == [2, 1] and built[1][0].best == (9, 4, 8)


def test_a_plan_for_one_shape_is_taken_where_it_is_kept(machine: Machine, tmp_path: Path) -> None:
    """As `derain engine build --shape` leaves it."""
    path, batch = onnx_models.identity(tmp_path), noise((1, 4, 8, 3))
    engine = machine.opened(path)
    assert engine._plans is not None
    engine._plans.only_for((1, 4, 8), "fp32")
    engine.infer(batch)
    used = [call[1] for call in machine.package.calls if call[0] == "set_optimization_profile_async"]
    assert used == [0] and machine.count("deserialize_cuda_engine") == 2
    engine.infer(noise((2, 4, 8, 3)))
    assert machine.count("deserialize_cuda_engine") == 2


@pytest.mark.parametrize("levels", [0, 60])
def test_a_plan_that_was_built_elsewhere_is_compared_before_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, levels: int
) -> None:
    """One for one shape that gives other pixels is left alone for the one for all shapes."""
    package = trt_run_fake.attach(monkeypatch, RTX_VERSION, check=True)
    monkeypatch.setattr("derain.engines.trt_plans.PROBE", 16)
    machine = Machine("tensorrt_rtx", package, tmp_path / "cache")
    path, batch = onnx_models.identity(tmp_path), noise((1, 8, 16, 3))
    engine = machine.opened(path)
    same, more = np.eye(3, dtype=np.float32)[..., None, None], np.full(3, levels / 255, np.float32)
    off = onnx_models.conv(tmp_path, "off", weights=same, bias=more)
    target = Target.portable(("86", "89"))
    ahead = wanted(open_model(path), EngineOptions(), trt.load("tensorrt_rtx"), target, "fp32", (FIXED,))
    wrong = wanted(open_model(off), EngineOptions(), trt.load("tensorrt_rtx"), target, "fp32", (FIXED,))
    obtain(ahead.key, wrong.build, cache_dir=tmp_path / "cache")
    assert np.array_equal(engine.infer(batch), batch)
    stored = Store.open(tmp_path / "cache").find(ahead.key)
    assert isinstance(stored, StoredPlan) and stored.manifest.parity is not None
    assert stored.manifest.parity.passed is (levels == 0)
    engine.close()


def test_batches_take_the_profile_that_is_tuned_for_them(machine: Machine, tmp_path: Path) -> None:
    engine = machine.opened(onnx_models.identity(tmp_path))
    for shape, profile in [((1, 8, 8, 3), 0), ((4, 8, 8, 3), 1)]:
        engine.infer(noise(shape))
        last = [call for call in machine.package.calls if call[0] == "set_optimization_profile_async"][-1]
        assert last[1] == profile


def test_a_new_plan_is_compared_with_the_cpu_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = trt_run_fake.attach(monkeypatch, check=True)
    monkeypatch.setattr("derain.engines.trt_plans.PROBE", 48)
    machine = Machine("tensorrt", package, tmp_path / "cache")
    path = onnx_models.mapped(tmp_path)
    for loaded in (2, 3):
        machine.opened(path, scores=True).close()
        assert package.count("deserialize_cuda_engine") == loaded
    manifest = json.loads(next((tmp_path / "cache" / "plans").glob("*.json")).read_text())
    assert {figures["probe"] for figures in manifest["parity"]["figures"]} >= {"flat", "noise", "rain"}
    assert manifest["key"]["target"]["device"] == FACTS.name


def test_precisions_are_those_of_the_card(machine: Machine, tmp_path: Path) -> None:
    path = onnx_models.identity(tmp_path)
    machine.package.make = lambda: FakeGpu(DeviceFacts("Old", (7, 5), (13, 0), 1 << 30))
    with pytest.raises(UsageError, match=r"can't run in precision 'bf16' .* takes auto, fp16, fp32$"):
        machine.opened(path, "bf16")


@pytest.mark.parametrize("name", KINDS)
def test_why_it_can_not_be_used_is_said_in_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = trt_run_fake.attach(monkeypatch, RTX_VERSION if name == "tensorrt_rtx" else "11.1.0.7")
    assert tensorrt.why_not(name) == ""
    monkeypatch.setattr(tensorrt, "installed", lambda wheel: "1" if wheel.endswith("cu13") else None)
    package.make = lambda: FakeGpu(DeviceFacts("NVIDIA Fake 4090", (8, 9), (12, 4), 1 << 30))
    tensorrt.facts_by.cache_clear()
    assert "driver speaks CUDA 12.4, and the installed" in tensorrt.why_not(name)
    package.make = lambda: FakeGpu(DeviceFacts("NVIDIA H200", (9, 0), (13, 0), 1 << 30))
    tensorrt.facts_by.cache_clear()
    expected = (
        "tensorrt_rtx 1.7.1.116 does not serve NVIDIA H200 (compute capability 90); it serves 75, 80, 86, "
        "89, 120, 121; take tensorrt or torch_cuda"
    )
    assert tensorrt.why_not(name) == (expected if name == "tensorrt_rtx" else "")
    assert all(not gpu.given for gpu in package.devices)
    monkeypatch.setattr("derain.engines.device.opening.unavailable", lambda: "cuda: there is no driver")
    assert tensorrt.why_not(name) == "cuda: there is no driver"
