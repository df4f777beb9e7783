"""Networks in halves: near to fp32, with fp32 where it matters, and refusals of weights that don't fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_models
import onnxruntime
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from derain.engines.edges import with_pixel_edges
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.halves import can_have_halves, check_weights, float_tensors, to_half
from derain.engines.modelfile import open_model
from derain.engines.quality import psnr

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (1, 16, 24, 3), np.uint8)
PLANES = RNG.random((1, 3, 8, 8), np.float32)


def computed(model: onnx.ModelProto, taken: Array) -> Array:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given: Array = session.run(None, {session.get_inputs()[0].name: taken})[0]
    return given


def computed_in_bf16(model: onnx.ModelProto, taken: Array) -> Array:
    """By OpenVINO, which rounds where the graph says so; ONNX Runtime can't on CPUs."""
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return np.array(compiled(taken)[0])


def middle(*nodes: onnx.NodeProto, **values: Array) -> onnx.ModelProto:
    """Two convolutions, and `nodes` from "first" to "middle" between them."""
    kernel = np.random.default_rng(1).normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32)
    conv = [
        helper.make_node("Conv", ["rainy", "kernel"], ["first"], pads=[1] * 4),
        *nodes,
        helper.make_node("Conv", ["middle", "kernel"], ["restored"], pads=[1] * 4),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in {"kernel": kernel, **values}.items()]
    return onnx_models.make(conv, tensors)


def types(model: onnx.ModelProto) -> dict[str, str]:
    """What each node takes first, of the nodes that take floats."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {
        value.name: value.type.tensor_type.elem_type for value in (*inferred.input, *inferred.value_info)
    }
    known |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    return {node.op_type: TensorProto.DataType.Name(known[node.input[0]]) for node in inferred.node}


@pytest.mark.parametrize(
    "kind,run,decibels", [("fp16", computed, 60.0), ("bf16", computed_in_bf16, 48.0)], ids=["fp16", "bf16"]
)
def test_a_network_in_halves_restores_nearly_the_same(
    kind: str, run: Callable[[onnx.ModelProto, Array], Array], decibels: float, tmp_path: Path
) -> None:
    model = with_pixel_edges(open_model(onnx_models.unshuffle(tmp_path, channels=16)), EngineOptions())
    half = to_half(model, kind)
    assert psnr(run(half, FRAME), computed(model, FRAME), 255) > decibels
    assert len(half.SerializeToString()) < len(model.SerializeToString())


def test_pixels_and_the_sum_that_makes_the_picture_stay_fp32(tmp_path: Path) -> None:
    half = to_half(with_pixel_edges(open_model(onnx_models.unshuffle(tmp_path)), EngineOptions()), "fp16")
    found = types(half)
    assert (found["Conv"], found["Relu"]) == ("FLOAT16", "FLOAT16")
    assert (found["SpaceToDepth"], found["Add"], found["Round"]) == ("FLOAT", "FLOAT", "FLOAT")
    assert [end.type.tensor_type.elem_type for end in (*half.graph.input, *half.graph.output)] == [2, 2]


def test_sums_over_many_values_are_islands_of_fp32_with_what_is_made_of_them_alone() -> None:
    """As an instance norm that was taken apart: the root belongs to the mean, the quotient to the network."""
    norm = [
        helper.make_node("ReduceMean", ["squared"], ["variance"], axes=[2, 3]),
        helper.make_node("Add", ["variance", "epsilon"], ["more"]),
        helper.make_node("Sqrt", ["more"], ["root"]),
        helper.make_node("Div", ["first", "root"], ["middle"]),
    ]
    square = helper.make_node("Mul", ["first", "first"], ["squared"])
    model = middle(square, *norm, epsilon=np.array(1e-7, np.float32))
    half = to_half(model, "fp16")
    found = types(half)
    assert [found[kind] for kind in ("Mul", "ReduceMean", "Add", "Sqrt", "Div")] == [
        *("FLOAT16", "FLOAT", "FLOAT", "FLOAT", "FLOAT16")
    ]
    assert np.abs(computed(half, PLANES) - computed(model, PLANES)).max() < 0.02


def test_the_scales_of_a_resize_stay_what_onnx_takes() -> None:
    scales = np.array([1, 1, 2, 2], np.float32)
    model = middle(
        helper.make_node("Resize", ["first", "", "scales"], ["large"], mode="linear"),
        helper.make_node("MaxPool", ["large"], ["middle"], kernel_shape=[2, 2], strides=[2, 2]),
        scales=scales,
    )
    assert np.abs(computed(to_half(model, "fp16"), PLANES) - computed(model, PLANES)).max() < 0.02


def test_a_loop_goes_on_in_fp32_and_finds_what_it_reads_from_outside() -> None:
    """A running sum over the rows: in halves it would lose more with each."""
    value = helper.make_tensor_value_info
    shape = ("N", 3, "W")
    body = helper.make_graph(
        [
            helper.make_node("Add", ["sum", "row"], ["sum_next"]),
            helper.make_node("ReduceMax", ["first"], ["peak"], keepdims=0),
            helper.make_node("Div", ["sum_next", "peak"], ["scaled"]),
        ],
        "body",
        [value("sum", TensorProto.FLOAT, shape), value("row", TensorProto.FLOAT, shape)],
        [value("sum_next", TensorProto.FLOAT, shape), value("scaled", TensorProto.FLOAT, shape)],
    )
    scan = helper.make_node(
        "Scan",
        ["start", "first"],
        ["last", "middle"],
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[2],
        scan_output_axes=[2],
    )
    model = middle(scan, start=np.zeros((1, 3, 8), np.float32))
    half = to_half(model, "fp16")
    assert np.abs(computed(half, PLANES) - computed(model, PLANES)).max() < 0.05
    assert types(half)["Scan"] == "FLOAT"


def test_a_tensor_that_also_leaves_the_network_leaves_it_in_fp32() -> None:
    model = middle(helper.make_node("Relu", ["first"], ["middle"]))
    model.graph.output.append(helper.make_tensor_value_info("first", TensorProto.FLOAT, ("N", 3, "H", "W")))
    half = to_half(model, "fp16")
    assert {end.type.tensor_type.elem_type for end in half.graph.output} == {TensorProto.FLOAT}
    assert "first" in float_tensors(half)
    assert np.abs(computed(half, PLANES) - computed(model, PLANES)).max() < 0.02


def test_constant_nodes_count_as_weights() -> None:
    half_of_one = helper.make_node(
        "Constant", [], ["half"], value=numpy_helper.from_array(np.array(0.5, np.float32))
    )
    model = middle(half_of_one, helper.make_node("Mul", ["first", "half"], ["middle"]))
    half = to_half(model, "fp16")
    assert types(half)["Mul"] == "FLOAT16"
    assert {tensor.data_type for tensor in half.graph.initializer} == {TensorProto.FLOAT16}


def test_weights_that_are_no_numbers_or_too_great_are_refused_with_their_name() -> None:
    model = middle(helper.make_node("Mul", ["first", "gain"], ["middle"]), gain=np.array(1e5, np.float32))
    with pytest.raises(
        UsageError, match=r"'gain' reaches 1e\+05, more than fp16 holds \(65504\); .* bf16 or"
    ):
        to_half(model, "fp16")
    assert to_half(model, "bf16").graph.node
    check_weights(model)
    broken = middle(helper.make_node("Mul", ["first", "gain"], ["middle"]), gain=np.array(np.nan, np.float32))
    with pytest.raises(UsageError, match="'gain' has values that are not finite numbers; export"):
        check_weights(broken)


def quantised(scale: float) -> onnx.ModelProto:
    names = ["first", "scale", "zero"]
    pair = [
        helper.make_node("QuantizeLinear", names, ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", *names[1:]], ["middle"]),
    ]
    return middle(*pair, scale=np.array(scale, np.float32), zero=np.array(0, np.int8))


def test_what_is_between_integers_is_in_halves_where_their_scales_can_be() -> None:
    model = quantised(0.01)
    half = to_half(model, "fp16")
    assert types(half)["QuantizeLinear"] == "FLOAT16"
    assert np.abs(computed(half, PLANES) - computed(model, PLANES)).max() < 0.05
    assert can_have_halves(model)
    assert not can_have_halves(quantised(1e-5))  # of fewer than 10 bits in fp16
