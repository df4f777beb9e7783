"""What TensorRT is given computes the same as what other backends are given, in the types that it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_models
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from derain.engines.card import ModelCard
from derain.engines.edges import PIXELS_IN, PIXELS_OUT, with_pixel_edges
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.modelfile import ModelFile, open_model
from derain.engines.quality import psnr
from derain.engines.trt_graph import graph_for

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (2, 8, 12, 3), np.uint8)
FINE = RNG.integers(0, 65536, (2, 8, 12, 3), np.uint16)


def restored(model: onnx.ModelProto, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given: npt.NDArray[Any] = session.run([PIXELS_OUT], {PIXELS_IN: pixels})[0]
    return given


def maker(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    found: onnx.NodeProto = next(node for node in model.graph.node if tensor in node.output)
    return found


def test_uint8_is_at_the_very_ends_alone(tmp_path: Path) -> None:
    """TensorRT takes it nowhere else: not even a transpose of it."""
    file = open_model(onnx_models.attentive(tmp_path))
    graph = graph_for(file, EngineOptions(attention=True), "fp32")
    last = maker(graph, PIXELS_OUT)
    assert (last.op_type, maker(graph, last.input[0]).op_type) == ("Cast", "Transpose")
    inner = onnx.shape_inference.infer_shapes(graph).graph.value_info
    assert TensorProto.UINT8 not in {value.type.tensor_type.elem_type for value in inner}
    usual = with_pixel_edges(file, EngineOptions(attention=True))
    assert np.array_equal(restored(graph, FRAMES), restored(usual, FRAMES))


@pytest.mark.parametrize("attention", [False, True])
def test_pixels_of_16_bits_come_and_go_as_bytes_and_are_the_same(attention: bool, tmp_path: Path) -> None:
    options = EngineOptions(dtype="uint16", attention=attention)
    file = open_model(onnx_models.attentive(tmp_path))
    given = restored(graph_for(file, options, "fp32"), FINE.view(np.uint8))
    assert given.dtype == np.uint8 and given.shape == (2, 8, 12, 8 if attention else 6)
    assert np.array_equal(given.view(np.uint16), restored(with_pixel_edges(file, options), FINE))


def rounding(folder: Path, zero_point: int = 0) -> ModelFile:
    """Rounds what it takes to uint8 in steps that reach up to 1, and gives it back."""
    nodes = [
        helper.make_node("QuantizeLinear", ["rainy", "step", "zero"], ["whole"], name="to_integers"),
        helper.make_node("DequantizeLinear", ["whole", "step", "zero"], ["rough"]),
        helper.make_node("Conv", ["rough", "kernel"], ["restored"]),
    ]
    values: dict[str, npt.NDArray[Any]] = {
        "step": np.array(1 / 255, np.float32),
        "zero": np.array(zero_point, np.uint8),
        "kernel": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
    }
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    card = ModelCard(**{**vars(onnx_models.CARD), "precision": "int8", "name": "rounding"})
    return open_model(onnx_models.save(onnx_models.make(nodes, tensors), folder, card))


def test_unsigned_integers_become_signed_ones_of_the_same_span(tmp_path: Path) -> None:
    """Read as signed with the step they had, all that is brighter than mid grey would be mid grey."""
    graph = graph_for(rounding(tmp_path), EngineOptions(), "int8")
    bright = restored(graph, np.full((1, 4, 4, 3), 250, np.uint8))
    assert np.abs(bright.astype(int) - 250).max() <= 1
    assert TensorProto.UINT8 not in {tensor.data_type for tensor in graph.graph.initializer}
    assert psnr(restored(graph, FRAMES), FRAMES, 255) > 45


def test_a_zero_point_that_tensorrt_does_not_take_is_refused_with_its_node(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'to_integers' \(QuantizeLinear\) has a zero point other than 0"):
        graph_for(rounding(tmp_path, zero_point=3), EngineOptions(), "int8")


def test_a_file_is_had_in_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is int8; TensorRT can run it in int8, not in fp16"):
        graph_for(rounding(tmp_path), EngineOptions(), "fp16")
    plain = open_model(onnx_models.identity(tmp_path))
    with pytest.raises(UsageError, match="is fp32; TensorRT can run it in fp32, fp16, bf16, not in int8"):
        graph_for(plain, EngineOptions(), "int8")


def test_a_weight_that_is_no_number_is_refused_in_any_precision(tmp_path: Path) -> None:
    weights = np.full((3, 3, 1, 1), np.inf, np.float32)
    file = open_model(onnx_models.conv(tmp_path, weights=weights))
    with pytest.raises(UsageError, match="not finite numbers"):
        graph_for(file, EngineOptions(), "fp32")
