"""Plans built by the real TensorRT-RTX, which needs neither a card nor a driver for that.

`derain bench engines` builds the whole matrix of networks, cards and precisions.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_models
import pytest
import trt_fake
from rtx import needs_rtx
from trt_surface import used_of_the_package

from derain.engines import build, models, trt
from derain.engines.build import BuildOptions, CalledOffError, Plan, Profile, build_plan
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.modelfile import open_model
from derain.engines.trt import RTX_CAPABILITIES, Runtime
from derain.engines.trt_graph import graph_for
from derain.train.fp8 import to_fp8
from derain.train.quantise import to_int8, write

pytestmark = needs_rtx
ENGINES = Path(build.__file__).parent
CARDS = ("75", "80", "86", "89", "120")
DYNAMIC, FIXED = Profile((1, 64, 64), (1, 96, 128), (2, 128, 192)), Profile.fixed((1, 96, 128))
"""Of multiples of 32."""


@pytest.fixture(scope="module")
def rtx() -> Runtime:
    return trt.load("tensorrt_rtx")


def built(rtx: Runtime, path: Path, precision: str, *profiles: Profile, **options: Any) -> Plan:
    """`options`: of the engine and of the build."""
    asked = {name: options.pop(name) for name in ("dtype", "attention", "scores") if name in options}
    file = open_model(path)
    graph = graph_for(file, EngineOptions(**asked), precision)
    return build_plan(graph, rtx, BuildOptions(precision, profiles or (FIXED,), file.states, **options))


@pytest.mark.parametrize("path", models.shipped(), ids=lambda path: path.stem)
def test_each_shipped_network_builds_for_all_cards_in_one_plan(path: Path, rtx: Runtime) -> None:
    plan = built(rtx, path, "fp16", DYNAMIC, capabilities=CARDS)
    assert plan.layers["HALF"] > 10 and "FLOAT" not in plan.layers
    assert len(plan.data) > path.stat().st_size / 3 and plan.seconds > 0


@pytest.mark.parametrize("profile", [DYNAMIC, FIXED], ids=["dynamic", "fixed"])
@pytest.mark.parametrize("precision,card", [("fp32", "75"), ("fp16", "80"), ("bf16", "120")])
def test_floats_build_for_dynamic_and_fixed_shapes(
    precision: str, card: str, profile: Profile, rtx: Runtime, tmp_path: Path
) -> None:
    plan = built(rtx, onnx_models.unshuffle(tmp_path), precision, profile, capabilities=(card,))
    assert plan.layers == {{"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}[precision]: 2}


@pytest.mark.parametrize(
    "precision,card,profile",
    [("int8", "75", FIXED), ("int8", "86", DYNAMIC), ("fp8", "89", FIXED), ("fp8", "120", DYNAMIC)],
)
def test_8_bits_build_where_cards_have_them(
    precision: str, card: str, profile: Profile, rtx: Runtime, tmp_path: Path
) -> None:
    file = open_model(onnx_models.unshuffle(tmp_path, channels=16))
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    made = (to_int8 if precision == "int8" else to_fp8)(file.graph, [frame])
    write(made, file.card, tmp_path / "quantised.onnx", precision)
    plan = built(rtx, tmp_path / "quantised.onnx", precision, profile, capabilities=(card,))
    assert plan.layers == {"HALF": 2, precision.upper(): 4}
    assert not any("UINT8" in warning for warning in plan.warnings), "it would be read as int8"


@pytest.mark.parametrize("options", [{"dtype": "uint16"}, {"scores": True}, {"attention": True}], ids=str)
def test_all_that_is_asked_of_a_graph_builds(options: dict[str, Any], rtx: Runtime, tmp_path: Path) -> None:
    plan = built(rtx, onnx_models.mapped(tmp_path), "fp16", DYNAMIC, capabilities=("86",), **options)
    channels = {"dtype": 6, "scores": 3, "attention": 5}[next(iter(options))]
    assert next((end.dtype, end.shape[3:]) for end in plan.io if end.given) == ("UINT8", (channels,))


def test_a_recurrent_network_builds_with_its_states_in_fp32(rtx: Runtime, tmp_path: Path) -> None:
    plan = built(rtx, onnx_models.recurrent(tmp_path), "fp16", DYNAMIC, capabilities=("89",))
    states = [(end.name, end.dtype) for end in plan.io if end.dtype != "UINT8"]
    names = ("memory", "redness", "memory_next", "redness_next")
    assert states == [(name, "FLOAT") for name in names]


def test_without_a_card_named_it_builds_for_all_from_80_on(rtx: Runtime, tmp_path: Path) -> None:
    assert built(rtx, onnx_models.conv(tmp_path), "fp16").data


def test_an_operator_that_it_does_not_know_is_told_with_its_node(rtx: Runtime, tmp_path: Path) -> None:
    graph = graph_for(open_model(onnx_models.unshuffle(tmp_path)), EngineOptions(), "fp32")
    odd = next(node for node in graph.graph.node if node.op_type == "Relu")
    odd.op_type, odd.name = "Frobnicate", "odd"
    with pytest.raises(DerainError, match=r"can't take the network unshuffle: its node 'odd' \(Frobnicate\)"):
        build_plan(graph, rtx, BuildOptions("fp32", (FIXED,), capabilities=("86",)))


def test_too_little_scratch_memory_is_told(rtx: Runtime, tmp_path: Path) -> None:
    large = Profile.fixed((4, 1024, 1024))
    with pytest.raises(DerainError, match=r"can't build the network: .*workspace"):
        built(rtx, onnx_models.unshuffle(tmp_path), "fp32", large, workspace=1 << 16, capabilities=("86",))


def test_a_build_tells_how_far_it_is_and_can_be_called_off(rtx: Runtime, tmp_path: Path) -> None:
    graph = graph_for(open_model(onnx_models.unshuffle(tmp_path)), EngineOptions(), "fp32")
    options = BuildOptions("fp32", (FIXED,), capabilities=("86",))
    seen: list[float] = []

    def note(_what: str, share: float) -> bool:
        seen.append(share)
        return True

    build_plan(graph, rtx, options, note)
    assert seen[0] < 0.2 and seen[-1] == 1 and all(0 <= share <= 1 for share in seen)
    with pytest.raises(CalledOffError):
        build_plan(graph, rtx, options, lambda _what, share: share < 0.1)


def test_it_builds_again_and_again_in_one_process(rtx: Runtime, tmp_path: Path) -> None:
    path = onnx_models.conv(tmp_path)
    assert all(built(rtx, path, "fp16", capabilities=("89",)).data for _ in range(3))


def test_the_cards_are_those_that_the_installed_package_knows(rtx: Runtime) -> None:
    known = {name.removeprefix("SM") for name in rtx.module.ComputeCapability.__members__}
    assert set(RTX_CAPABILITIES) == known - {"NONE", "CURRENT"}


@pytest.mark.parametrize("file", ["trt.py", "build.py"])
def test_what_the_code_names_of_the_package_is_in_the_installed_one(file: str, rtx: Runtime) -> None:
    for chain in set(used_of_the_package(ENGINES / file)):
        assert named(rtx.module, chain) is not None, chain


@pytest.mark.parametrize("kind", trt_fake.classes(), ids=lambda kind: kind.__name__)
def test_the_package_of_the_tests_has_nothing_that_the_installed_one_has_not(
    kind: type, rtx: Runtime
) -> None:
    for name in vars(kind):
        assert name.startswith("_") or hasattr(getattr(rtx.module, kind.__name__), name), name


def named(module: ModuleType, chain: tuple[str, ...]) -> Any:
    found: Any = module
    for name in chain:
        found = getattr(found, name, None)
    return found
