"""A model's second output, its attention map: taken as a fourth channel, or not computed at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import backends
import numpy as np
import numpy.typing as npt
import onnx
import onnx_models
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from derain.engines.edges import with_pixel_edges
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import open_model
from derain.engines.openvino import OpenVINOEngine
from derain.engines.registry import ON_CPU, open_engine


@pytest.fixture(params=backends.ALL)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return backends.use(request.param, monkeypatch)


def noise(shape: tuple[int, ...], dtype: str = "uint8") -> Pixels:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def near(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return one.shape == other.shape and bool(np.abs(one.astype(float) - other).max() <= 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_map_is_the_fourth_channel_of_what_comes_back(tmp_path: Path, backend: str, dtype: str) -> None:
    batch = noise((2, 6, 10, 3), dtype)
    around = np.pad(batch[..., 0].astype(float), ((0, 0), (1, 1), (1, 1)))
    mean = np.mean([around[:, y : y + 6, x : x + 10] for y in range(3) for x in range(3)], axis=0)
    path = onnx_models.attentive(tmp_path, kernel=3)
    with open_engine(path, EngineOptions(backend, dtype=dtype, attention=True)) as engine:
        given = engine.infer(batch)
        assert engine.channels == 4
    assert given.dtype == batch.dtype
    assert near(given[..., :3], batch / 2)
    assert near(given[..., 3], mean)


def test_the_colours_are_those_of_an_engine_without_the_map(tmp_path: Path, backend: str) -> None:
    path, batch = onnx_models.attentive(tmp_path, kernel=3), noise((1, 16, 16, 3))
    with (
        open_engine(path, EngineOptions(backend)) as engine,
        open_engine(path, EngineOptions(backend, attention=True)) as attentive,
    ):
        assert engine.channels == 3
        assert np.array_equal(engine.infer(batch), attentive.infer(batch)[..., :3])


def test_a_map_out_of_range_is_clipped(tmp_path: Path, backend: str) -> None:
    """A network that does not keep to 0..1; what is too much must not come out as too little."""
    nodes = [
        helper.make_node("Identity", ["rainy"], ["restored"]),
        helper.make_node("ReduceSum", ["rainy", "axis"], ["sum"], keepdims=1),
        helper.make_node("Sub", ["sum", "one"], ["attention"]),
    ]
    values = [
        numpy_helper.from_array(np.array([1]), "axis"),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
    ]
    model = onnx_models.make(nodes, values)
    onnx_models.add_output(model, "attention", ("N", 1, "H", "W"))
    path = onnx_models.save(model, tmp_path, onnx_models.CARD)
    batch = np.array([0, 128, 255], np.uint8).repeat(3).reshape(1, 1, 3, 3)
    with open_engine(path, EngineOptions(backend, attention=True)) as engine:
        assert engine.infer(batch)[0, 0, :, 3].tolist() == [0, 129, 255]


def test_out_must_have_room_for_the_map(tmp_path: Path, backend: str) -> None:
    path, batch = onnx_models.attentive(tmp_path), noise((1, 4, 4, 3))
    with open_engine(path, EngineOptions(backend, attention=True)) as engine:
        out = np.zeros((1, 4, 4, 4), np.uint8)
        assert engine.infer(batch, out) is out
        assert np.array_equal(out[..., 3], batch[..., 0])
        with pytest.raises(DerainError, match=r"takes uint8 of shape \(1, 4, 4, 4\), C-contiguous"):
            engine.infer(batch, np.zeros((1, 4, 4, 3), np.uint8))


def computed(model: onnx.ModelProto, folder: Path) -> list[str]:
    """The nodes that ONNX Runtime runs for a model."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load_model(folder / "optimized.onnx").graph.node]


def test_nothing_is_computed_for_a_map_that_nobody_wants(tmp_path: Path) -> None:
    model = open_model(onnx_models.attentive(tmp_path))
    for wanted in ({"attention": True}, {"scores": True}, {"keep": ("rain",)}):
        assert "Conv" in computed(with_pixel_edges(model, EngineOptions(**wanted)), tmp_path)
    assert "Conv" not in computed(with_pixel_edges(model, EngineOptions()), tmp_path)


def test_openvino_compiles_nothing_for_it_either(tmp_path: Path) -> None:
    model = open_model(onnx_models.attentive(tmp_path))
    kinds = []
    for attention in (True, False):
        with OpenVINOEngine(model, EngineOptions(attention=attention)) as engine:
            kinds.append({node.get_type_name() for node in engine._model.get_ops()})
    assert "Convolution" in kinds[0]
    assert "Convolution" not in kinds[1]


@pytest.mark.parametrize("backend", ON_CPU)  # a CUDA graph has no branch that hangs on pixels
def test_a_map_that_the_colours_are_made_with_stays(tmp_path: Path, backend: str) -> None:
    """In plain sight, and inside the branch of an If, which names it only there."""
    pick = helper.make_node("Mul", ["rainy", "attention"], ["picked"])
    shape = ("N", 3, "H", "W")
    given = helper.make_tensor_value_info("picked", TensorProto.FLOAT, shape)
    branch = helper.make_graph([pick], "branch", [], [given])
    nodes = [
        helper.make_node("ReduceMax", ["rainy", "axis"], ["attention"], keepdims=1),
        helper.make_node("ReduceMax", ["rainy"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "none"], ["wet"]),
        helper.make_node("If", ["wet"], ["restored"], then_branch=branch, else_branch=branch),
    ]
    values = [
        numpy_helper.from_array(np.array([1]), "axis"),
        numpy_helper.from_array(np.array(0, np.float32), "none"),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("rainy", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx_models.add_output(model, "attention", ("N", 1, "H", "W"))
    path = onnx_models.save(model, tmp_path, onnx_models.CARD)
    batch = noise((1, 4, 4, 3))
    with open_engine(path, EngineOptions(backend)) as engine:
        assert near(engine.infer(batch), batch * batch.max(axis=3, keepdims=True).astype(float) / 255)


def test_with_and_without_are_kept_apart_in_the_cache(tmp_path: Path) -> None:
    path, batch = onnx_models.attentive(tmp_path), noise((1, 8, 8, 3))
    for _ in range(2):
        for attention, channels in ((False, 3), (True, 4)):
            options = EngineOptions("openvino", cache_dir=tmp_path / "cache", attention=attention)
            with open_engine(path, options) as engine:
                assert engine.infer(batch).shape == (1, 8, 8, channels)


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_a_model_without_a_map_is_refused_where_one_is_wanted(tmp_path: Path, backend: str) -> None:
    path = onnx_models.identity(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_engine(path, EngineOptions(backend, attention=True))
    assert str(caught.value) == (
        f"the model {path} gives no attention map; leave out --show-attention (in Python: attention=True), "
        "or give a network that has one, such as spanet or attentive-gan"
    )


def other_outputs(*outputs: tuple[str, tuple[int | str, ...], int]) -> Callable[[Path], Path]:
    """A model that gives `restored` and these (name, shape, dtype) after it."""

    def write(folder: Path) -> Path:
        model = onnx_models.make([helper.make_node("Identity", ["rainy"], ["restored"])])
        for name, shape, dtype in outputs:
            onnx_models.add_output(model, name, shape, dtype)
        return onnx_models.save(model, folder, onnx_models.CARD)

    return write


def first_the_map(folder: Path) -> Path:
    path = onnx_models.attentive(folder)
    model = onnx.load_model(path)
    ends = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(reversed(ends))
    onnx.save_model(model, path)
    return path


ONE_CHANNEL = ("N", 1, "H", "W")
TAKES = "derain takes one output named 'restored', and 'attention' after it where there is an attention map"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (other_outputs(("mask", ONE_CHANNEL, TensorProto.FLOAT)), f"the outputs restored, mask; {TAKES}"),
        (
            other_outputs(
                ("attention", ONE_CHANNEL, TensorProto.FLOAT), ("mask", ONE_CHANNEL, TensorProto.FLOAT)
            ),
            f"the outputs restored, attention, mask; {TAKES}",
        ),
        (first_the_map, f"the outputs attention, restored; {TAKES}"),
        (
            other_outputs(("attention", ("N", 3, "H", "W"), TensorProto.FLOAT)),
            "the output 'attention' of shape (?, 3, ?, ?); derain takes (?, 1, ?, ?): batch, attention, "
            "height and width, where ? is dynamic",
        ),
        (
            other_outputs(("attention", (1, 1, 64, 64), TensorProto.FLOAT)),
            "the output 'attention' of shape (1, 1, 64, 64); derain takes (?, 1, ?, ?)",
        ),
        (
            other_outputs(("attention", ONE_CHANNEL, TensorProto.FLOAT16)),
            "the output 'attention' of dtype FLOAT16; derain takes FLOAT (32 bit)",
        ),
    ],
)
def test_other_second_outputs_are_refused(
    tmp_path: Path, write: Callable[[Path], Path], message: str
) -> None:
    path = write(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_model(path)
    assert str(caught.value).startswith(f"the model {path} has {message}")


def test_a_file_tells_whether_it_has_a_map(tmp_path: Path) -> None:
    assert open_model(onnx_models.attentive(tmp_path)).attention
    assert not open_model(onnx_models.identity(tmp_path)).attention
