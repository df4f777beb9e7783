"""From a network to the key of its plan: what makes another plan, what does not, and what is built then."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_models
import pytest
import trt_fake

from derain.engines import trt
from derain.engines.build import Plan, Profile, build_plan
from derain.engines.device.seam import DeviceFacts
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model
from derain.engines.plans import planning
from derain.engines.plans.key import Target, differences, this_system
from derain.engines.plans.obtain import obtain
from derain.engines.plans.planning import Wanted, ends_of, told, wanted

FACTS = DeviceFacts("NVIDIA Slow 1", (8, 9), (13, 1), 1 << 30)
FIXED = Profile.fixed((1, 32, 48))


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Wanted]:
    """The plan that is wanted of a made-up network."""
    path = onnx_models.mapped(tmp_path)

    def make(path: Path = path, version: str = "10.13", facts: DeviceFacts = FACTS, **asked: Any) -> Wanted:
        runtime = trt.wrap("tensorrt", trt_fake.tensorrt(version))
        build: dict[str, Any] = {"precision": "fp16", "profiles": (FIXED,)}
        build |= {name: asked.pop(name) for name in (*build, "workspace") if name in asked}
        options = EngineOptions(cache_dir=tmp_path / "cache", **asked)
        return wanted(open_model(path), options, runtime, Target.of(facts), **build)

    return make


def test_the_key_names_all_that_the_plan_hangs_on(plan: Callable[..., Wanted]) -> None:
    key = plan().key
    assert (key.network, key.backend, key.version, key.precision) == (
        "mapped",
        "tensorrt",
        "10.13.0.1",
        "fp16",
    )
    assert key.shapes == ("1x32x48",)
    assert key.options == ()
    assert key.target == Target("NVIDIA Slow 1", ("89",), "13.1", this_system())
    assert key == plan().key, "it is the same each time"


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("precision", {"precision": "fp32"}),
        ("options", {"dtype": "uint16"}),
        ("options", {"attention": True}),
        ("options", {"scores": True}),
        ("options", {"keep": ("drops",)}),
        ("options", {"workspace": 1 << 20}),
        ("shapes", {"profiles": (FIXED, Profile.fixed((2, 32, 48)))}),
        ("version", {"version": "11.0"}),
        ("device", {"facts": replace(FACTS, name="NVIDIA Slow 2")}),
        ("driver", {"facts": replace(FACTS, driver=(13, 2))}),
        ("capability", {"facts": replace(FACTS, capability=(9, 0))}),
    ],
)
def test_each_of_them_makes_another_plan(
    plan: Callable[..., Wanted], field: str, asked: dict[str, Any]
) -> None:
    one, other = plan().key, plan(**asked).key
    assert one.digest() != other.digest()
    assert field in [gap.field for gap in differences(one, other)]


def test_other_weights_make_another_plan_and_another_model_card_does_not(
    plan: Callable[..., Wanted], tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    retold = onnx_models.mapped(tmp_path / "again", quality={"Rain100L": "30 dB"})
    assert plan(retold).key == plan().key
    changed = onnx_models.mapped(tmp_path / "again", kernel=1)
    one, other = plan(scores=True).key, plan(changed, scores=True).key
    assert [gap.field for gap in differences(one, other)] == ["onnx"]
    assert plan(changed).key == plan().key, "without maps and scores they are not in the graph"


def test_what_does_not_matter_to_the_plan_makes_no_other(plan: Callable[..., Wanted]) -> None:
    assert plan(threads=1).key == plan().key


def test_shapes_are_told_as_they_are() -> None:
    profiles = [
        FIXED,
        Profile((1, 8, 8), (1, 8, 8), (1, 16, 16)),
        Profile((1, 8, 8), (1, 16, 16), (1, 16, 16)),
    ]
    assert [told(profile) for profile in profiles] == [
        "1x32x48",
        "1x8x8..1x8x8..1x16x16",
        "1x8x8..1x16x16..1x16x16",
    ]


def test_a_plan_comes_from_the_cache_with_the_ends_it_was_built_with(
    plan: Callable[..., Wanted], tmp_path: Path
) -> None:
    asked, lines = plan(scores=True), list[str]()
    built = obtain(asked.key, asked.build, cache_dir=tmp_path / "cache", tell=lines.append)
    again = obtain(asked.key, asked.build, cache_dir=tmp_path / "cache", tell=lines.append)
    assert again.data == trt_fake.PLAN
    assert len(lines) == 1
    ends = ends_of(again.manifest)
    assert ends == ends_of(built.manifest)
    assert [(end.name, end.given, end.dtype) for end in ends] == [
        ("derain_rainy_pixels", False, "UINT8"),
        ("derain_restored_pixels", True, "UINT8"),
        ("derain_scores", True, "FLOAT"),
    ]
    assert again.manifest.details["layers"] == {"HALF": 1}
    assert again.manifest.details["warnings"] == ["slow but sure"]


def test_timings_go_from_one_build_to_the_next_on_the_same_device(
    plan: Callable[..., Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bytes] = []

    def noted(graph: Any, runtime: Any, options: Any, progress: Any) -> Plan:
        found.append(options.timing_cache)
        return build_plan(graph, runtime, options, progress)

    monkeypatch.setattr(planning, "build_plan", noted)
    plan().build()
    plan(precision="fp32").build()
    plan(facts=replace(FACTS, name="NVIDIA Slow 2")).build()
    assert found == [b"", trt_fake.TIMINGS, b""]


def test_a_cache_that_is_not_safe_stops_no_build(
    plan: Callable[..., Wanted], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("in the way")
    with caplog.at_level(logging.INFO):
        assert plan().build().data == trt_fake.PLAN


def test_a_plan_for_other_cards_needs_a_runtime_that_builds_for_them(tmp_path: Path) -> None:
    runtime = trt.wrap("tensorrt", trt_fake.tensorrt("11.0"))
    model = open_model(onnx_models.identity(tmp_path))
    with pytest.raises(UsageError, match="tensorrt builds for the card at hand alone"):
        wanted(model, EngineOptions(), runtime, Target.portable(("86",)), "fp16", (FIXED,))
