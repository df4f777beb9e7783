"""Building plans, with a package that has nothing but published names: what is asked of it, what is made of
its refusals. tests/engines/test_rtx_builds.py builds with the real one."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models
import pytest
import trt_fake
from onnx import helper, numpy_helper
from trt_surface import RTX_ONLY, VERSIONS, missing, surface, used_of_the_package

from derain.engines import build, trt
from derain.engines.build import BuildOptions, CalledOffError, Plan, Profile, build_plan, check_engine
from derain.engines.edges import with_pixel_edges
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import open_model
from derain.engines.trt_graph import graph_for

PROFILE = Profile((1, 8, 8), (1, 16, 24), (4, 32, 48))
ENGINES = Path(build.__file__).parent


def fake(version: str = "10.13", *refuse: str, name: str = "tensorrt") -> trt.Runtime:
    package = trt_fake.tensorrt(version)
    package.refuse.update(refuse)
    return trt.wrap(name, package)


@pytest.fixture
def graph(tmp_path: Path) -> onnx.ModelProto:
    return graph_for(open_model(onnx_models.unshuffle(tmp_path)), EngineOptions(), "fp16")


def built(graph: onnx.ModelProto, runtime: trt.Runtime, precision: str = "fp16", **options: Any) -> Plan:
    return build_plan(graph, runtime, BuildOptions(precision, **{"profiles": (PROFILE,), **options}))


@pytest.mark.parametrize("version,flags", [("10.13", 1), ("10.16", 1), ("11.0", 0), ("11.1", 0)])
def test_networks_are_strongly_typed_in_each_version(
    version: str, flags: int, graph: onnx.ModelProto
) -> None:
    """By a flag that version 10 needs; from 11 on they always are."""
    runtime = fake(version)
    typed = surface(version)["NetworkDefinitionCreationFlag"]
    bit = 1 << (1 + list(typed).index("STRONGLY_TYPED"))
    plan = built(graph, runtime)
    assert ("create_network", flags * bit) in runtime.module.calls
    assert (plan.data, plan.runtime) == (trt_fake.PLAN, f"tensorrt {version}.0.1")


def test_a_plan_tells_what_it_computes_in_and_what_it_takes(graph: onnx.ModelProto) -> None:
    plan = built(graph, fake())
    assert plan.layers == {"HALF": 2}
    ends = [(end.name, end.given, end.dtype, end.shape) for end in plan.io]
    assert ends == [
        ("derain_rainy_pixels", False, "UINT8", (-1, -1, -1, 3)),
        ("derain_restored_pixels", True, "UINT8", (-1, -1, -1, 3)),
    ]
    assert plan.warnings == ("slow but sure",)


def test_a_profile_gives_the_shapes_of_pixels_and_of_states(tmp_path: Path) -> None:
    file = open_model(onnx_models.recurrent(tmp_path))
    runtime = fake()
    built(graph_for(file, EngineOptions(), "fp32"), runtime, "fp32", states=file.states)
    shapes = next(call[1] for call in runtime.module.calls if call[0] == "profile")
    assert shapes == {
        "derain_rainy_pixels": ((1, 8, 8, 3), (1, 16, 24, 3), (4, 32, 48, 3)),
        "memory": ((1, 3, 2, 2), (1, 3, 4, 6), (4, 3, 8, 12)),
        "redness": ((1, 1, 8, 8), (1, 1, 16, 24), (4, 1, 32, 48)),
    }


def test_fp32_is_no_tf32_and_scratch_memory_has_a_limit(tmp_path: Path) -> None:
    graph = graph_for(open_model(onnx_models.conv(tmp_path)), EngineOptions(), "fp32")
    runtime = fake()
    built(graph, runtime, "fp32", workspace=1 << 30)
    assert ("clear_flag", "TF32") in runtime.module.calls
    assert ("set_memory_pool_limit", "WORKSPACE", 1 << 30) in runtime.module.calls


def test_timings_are_kept_from_build_to_build_and_those_of_another_card_are_not(
    graph: onnx.ModelProto,
) -> None:
    first = built(graph, fake())
    assert built(graph, fake(), timing_cache=first.timing_cache).timing_cache == 2 * trt_fake.TIMINGS
    stale = fake("10.13", "stale timings")
    assert built(graph, stale, timing_cache=first.timing_cache).timing_cache == trt_fake.TIMINGS


def test_progress_grows_to_the_end(graph: onnx.ModelProto) -> None:
    seen: list[tuple[str, float]] = []

    def note(what: str, share: float) -> bool:
        seen.append((what, share))
        return True

    build_plan(graph, fake(), BuildOptions("fp16", (PROFILE,)), note)
    assert seen == [("Timing", 0.25), ("Building", 0.5), ("built", 1.0)]


def test_who_watches_can_call_it_off_or_fail(graph: onnx.ModelProto) -> None:
    options = BuildOptions("fp16", (PROFILE,))
    with pytest.raises(CalledOffError, match="was called off"):
        build_plan(graph, fake(), options, lambda _what, _share: False)

    def interrupted(_what: str, _share: float) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(graph, fake(), options, interrupted)


@pytest.mark.parametrize(
    "refused,sentence",
    [
        ("parse", r"can't take the network unshuffle: its node 'odd' \(Frobnicate\): Plugin not found, are"),
        ("Builder", "10.13.0.1 can't build here: CUDA initialization failure with error: 35$"),
        ("add_optimization_profile", r"did not take the shapes \(1, 8, 8\), \(1, 16, 24\), \(4, 32, 48\)"),
        ("build_serialized_network", "can't build the network: no tactics within the workspace$"),
        ("set_timing_cache", "did not take an empty timing cache"),
        ("dtype", r"was to be fp16, and .* read of its 2 tensors of HALF only 0: \{'FLOAT': 2\}"),
    ],
)
def test_a_refusal_is_one_sentence(refused: str, sentence: str, graph: onnx.ModelProto) -> None:
    with pytest.raises(DerainError, match=sentence) as told:
        built(graph, fake("10.13", refused))
    assert "\n" not in str(told.value)


def test_a_graph_in_another_precision_than_the_options_say_is_refused(graph: onnx.ModelProto) -> None:
    with pytest.raises(DerainError, match=r"was to be bf16, and its graph has \{'HALF': 2\}"):
        built(graph, fake(), "bf16")


def test_integers_that_would_be_read_as_others_are_refused(tmp_path: Path) -> None:
    """As TensorRT reads uint8: as int8 with the same steps, with no more than a warning."""
    pair = ["rainy", "step", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", pair, ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", *pair[1:]], ["rough"]),
        helper.make_node("Conv", ["rough", "kernel"], ["restored"]),
    ]
    values = {"step": np.float32(1 / 255), "zero": np.uint8(0), "kernel": np.ones((3, 3, 1, 1), np.float32)}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    path = onnx_models.save(onnx_models.make(nodes, tensors), tmp_path, onnx_models.CARD)
    with pytest.raises(DerainError, match=r"was to be int8, and its graph has .*'UINT8': 1"):
        built(with_pixel_edges(open_model(path), EngineOptions()), fake(), "int8")


@pytest.mark.parametrize(
    "name,options,sentence",
    [
        (
            "tensorrt",
            {"capabilities": ("86",)},
            "for the card at hand alone, .* tensorrt_rtx builds for others",
        ),
        (
            "tensorrt_rtx",
            {"capabilities": ("90",)},
            "can't build for compute capability 90; it takes 75, 80,",
        ),
        (
            "tensorrt_rtx",
            {"capabilities": ("75",), "precision": "bf16"},
            "75 can't compute in bf16, .* 80 or",
        ),
        ("tensorrt_rtx", {"capabilities": ("86",), "precision": "fp8"}, "86 can't compute in fp8, .* 89 or"),
        (
            "tensorrt",
            {"precision": "int4"},
            "there is no precision 'int4'; derain has fp32, fp16, bf16, int8",
        ),
        ("tensorrt", {"profiles": ()}, "needs the shapes"),
    ],
)
def test_what_a_runtime_does_not_take_is_a_mistake_of_the_user(
    name: str, options: dict[str, Any], sentence: str, graph: onnx.ModelProto
) -> None:
    with pytest.raises(UsageError, match=sentence):
        built(graph, fake(name=name), **{"precision": "fp16", **options})


def test_shapes_that_do_not_rise_are_no_profile() -> None:
    with pytest.raises(UsageError, match=r"\(1, 16, 16\), \(1, 8, 16\), \(1, 16, 16\) are no profile"):
        Profile((1, 16, 16), (1, 8, 16), (1, 16, 16))
    with pytest.raises(UsageError, match="must be 1 or more"):
        Profile.fixed((0, 16, 16))


class LoadedPlan:
    """An ICudaEngine with the ends that it is given: (name, mode, dtype)."""

    def __init__(self, ends: Sequence[tuple[str, str, str]]) -> None:
        package = trt_fake.tensorrt("10.13")
        self.num_io_tensors = len(ends)
        self._names = [end[0] for end in ends]
        self._modes = {end[0]: type("Mode", (), {"name": end[1]}) for end in ends}
        self._types = {end[0]: package.DataType[end[2]] for end in ends}

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self._modes[name]

    def get_tensor_dtype(self, name: str) -> Any:
        return self._types[name]


def test_a_loaded_plan_must_have_the_ends_that_it_was_built_with(graph: onnx.ModelProto) -> None:
    io = built(graph, fake()).io
    ends = [("derain_rainy_pixels", "INPUT", "UINT8"), ("derain_restored_pixels", "OUTPUT", "UINT8")]
    check_engine(LoadedPlan(ends), io)
    with pytest.raises(DerainError, match=r"restored_pixels OUTPUT FLOAT where it was built with .* UINT8"):
        check_engine(LoadedPlan([ends[0], ("derain_restored_pixels", "OUTPUT", "FLOAT")]), io)


def test_a_package_that_is_missing_or_too_old_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        if name == "tensorrt":
            return trt_fake.tensorrt("10.13") if newer else type("Old", (), {"__version__": "10.3.0"})
        raise ModuleNotFoundError(name=name)

    newer = False
    monkeypatch.setattr("derain.engines.trt.importlib.import_module", import_module)
    assert trt.unavailable("tensorrt") == (
        'the package tensorrt is 10.3.0; derain takes 10.13 and later (pip install "derain[tensorrt]")'
    )
    with pytest.raises(
        DerainError, match=r'tensorrt_rtx is not installed \(pip install "derain\[tensorrt-rtx'
    ):
        trt.load("tensorrt_rtx")
    newer = True
    assert trt.load("tensorrt").version == (10, 13, 0, 1)


@pytest.mark.parametrize("kind", [*trt_fake.classes(), LoadedPlan], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_package_of_these_tests_has_published_names_and_arguments_alone(kind: type, version: str) -> None:
    published = surface(version)["ICudaEngine" if kind is LoadedPlan else kind.__name__]
    own = {name: member for name, member in vars(kind).items() if not name.startswith("_")}
    for name, member in own.items():
        assert name in published, f"{kind.__name__} of {version} has no {name}"
        if inspect.isfunction(member):
            arguments = list(inspect.signature(member).parameters)[1:]
            assert not published[name] or any(
                arguments == overload[: len(arguments)] for overload in published[name]
            ), name


@pytest.mark.parametrize("file", ["trt.py", "build.py"])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_code_names_of_the_package_is_published(file: str, version: str) -> None:
    used = [chain for chain in used_of_the_package(ENGINES / file) if chain[0] not in RTX_ONLY]
    assert used and not [chain for chain in used if missing(version, chain)]
    assert missing(version, ("BuilderFlag", "NO_SUCH_FLAG"))
