"""The graph that TensorRT is given of a model: its ends, its integers and its precision as it takes them.

TensorRT knows uint8 only at a network's ends, no uint16, and of 8-bit integers only symmetric int8.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from derain.engines.edges import PIXELS_IN, PIXELS_OUT, with_pixel_edges
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.halves import QUANTISED, can_have_halves, check_weights, drop_unused, to_half
from derain.engines.modelfile import ModelFile

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")
BYTE = 256
_INT8_STEPS, _UINT8_STEPS = 127, 255


def graph_for(model: ModelFile, options: EngineOptions, precision: str) -> onnx.ModelProto:
    """The model with pixel edges (see `edges.with_pixel_edges`), its precision in its dtypes.

    With options.dtype "uint16" the pixels are bytes, (N, H, W, 6) uint8, the lower of each pair first: what
    `array.view(np.uint8)` gives on all machines that derain runs on. Of an INT8 or FP8 file the rest is in
    fp16 where its scales allow. Raises UsageError where the file or its weights can't be had so.
    """
    held = model.card.precision
    takes = PRECISIONS[:3] if held == "fp32" else (held,)
    if precision not in takes:
        raise UsageError(
            f"the model {model.path} is {held}; TensorRT can run it in {', '.join(takes)}, not in {precision}"
        )
    whole = with_pixel_edges(model, options)
    check_weights(whole)
    _cast_last(whole.graph)
    if options.dtype == "uint16":
        _as_bytes(whole.graph)
    signed(whole)
    if precision == "fp32" or not can_have_halves(whole):
        return whole
    return to_half(whole, precision if precision == "bf16" else "fp16")


def signed(model: onnx.ModelProto) -> None:
    """Makes int8 of the uint8 of Q/DQ nodes, with a step that spans the same values.

    TensorRT would read them as int8 with the step they have, and cut off the upper half of the values.
    Raises UsageError where a zero point is not 0.
    """
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    made: dict[str, onnx.TensorProto] = {}
    for node in model.graph.node:
        if node.op_type not in QUANTISED or len(node.input) < 3:
            continue
        step, zero = (values[name] for name in node.input[1:3])
        if numpy_helper.to_array(zero).astype(np.float32).any():
            raise UsageError(
                f"the node {node.name!r} ({node.op_type}) has a zero point other than 0, which TensorRT does "
                "not take; make the file again with derain quantise"
            )
        if zero.data_type == TensorProto.UINT8:
            steps = numpy_helper.to_array(step) * np.float32(_UINT8_STEPS / _INT8_STEPS)
            zeros = np.zeros(tuple(zero.dims), np.int8)
            for number, array in ((1, steps), (2, zeros)):
                name = f"{node.input[number]}_signed"
                made[name] = numpy_helper.from_array(array, name)
                node.input[number] = name
    if made:
        del model.graph.value_info[:]
        model.graph.initializer.extend(made.values())
        drop_unused(model.graph)


def _cast_last(graph: onnx.GraphProto) -> None:
    """Turns Cast, Transpose at the pixels' end into Transpose, Cast."""
    turn, cast = _maker(graph, PIXELS_OUT), _maker(graph, _maker(graph, PIXELS_OUT).input[0])
    between = turn.input[0]
    turned, last = _copy(turn), _copy(cast)
    turned.input[0], turned.output[0] = cast.input[0], between
    last.input[0], last.output[0] = between, PIXELS_OUT
    _replace(graph, {between: [], PIXELS_OUT: [turned, last]})


def _as_bytes(graph: onnx.GraphProto) -> None:
    """Has 16-bit pixels come and go as pairs of bytes, put together and taken apart in fp32: exact."""
    first = next(node for node in graph.node if PIXELS_IN in node.input)
    last = _maker(graph, PIXELS_OUT)
    joined, parted = _joining(first.output[0]), _parting(last.input[0])
    channels = 0
    for end in (*graph.input, *graph.output):
        if end.name in (PIXELS_IN, PIXELS_OUT):
            tensor = end.type.tensor_type
            tensor.elem_type = TensorProto.UINT8
            tensor.shape.dim[3].dim_value = channels = 2 * tensor.shape.dim[3].dim_value
    come, go = _copy(first), _copy(last)
    come.output[0] = "derain_bytes_in"
    go.input[0] = "derain_bytes_out"
    go.attribute[0].i = TensorProto.UINT8
    constants: dict[str, npt.NDArray[Any]] = {
        "byte": np.array(BYTE, np.float32),
        "low_start": np.array([0], np.int64),
        "high_start": np.array([1], np.int64),
        "bytes_end": np.array([np.iinfo(np.int32).max], np.int64),
        "bytes_axis": np.array([3], np.int64),
        "pair_axis": np.array([4], np.int64),
        "bytes_step": np.array([2], np.int64),
        "bytes_shape": np.array([0, 0, 0, channels], np.int64),
    }
    tensors = [numpy_helper.from_array(values, f"derain_{name}") for name, values in constants.items()]
    graph.initializer.extend(tensors)
    _replace(graph, {first.output[0]: [come, *joined], PIXELS_OUT: [*parted, go]})


def _joining(pixels: str) -> list[onnx.NodeProto]:
    """Nodes from "derain_bytes_in" (N, H, W, 2 C) to `pixels` (N, H, W, C)."""
    ends = ["derain_bytes_end", "derain_bytes_axis", "derain_bytes_step"]
    node = helper.make_node
    return [
        node("Slice", ["derain_bytes_in", "derain_low_start", *ends], ["derain_low_in"]),
        node("Slice", ["derain_bytes_in", "derain_high_start", *ends], ["derain_high_in"]),
        node("Mul", ["derain_high_in", "derain_byte"], ["derain_highs_in"]),
        node("Add", ["derain_low_in", "derain_highs_in"], [pixels]),
    ]


def _parting(pixels: str) -> list[onnx.NodeProto]:
    """Nodes from `pixels` (N, H, W, C) to "derain_bytes_out" (N, H, W, 2 C)."""
    node = helper.make_node
    return [
        node("Div", [pixels, "derain_byte"], ["derain_parts"]),
        node("Floor", ["derain_parts"], ["derain_high_out"]),
        node("Mul", ["derain_high_out", "derain_byte"], ["derain_highs_out"]),
        node("Sub", [pixels, "derain_highs_out"], ["derain_low_out"]),
        node("Unsqueeze", ["derain_low_out", "derain_pair_axis"], ["derain_lows"]),
        node("Unsqueeze", ["derain_high_out", "derain_pair_axis"], ["derain_highs"]),
        node("Concat", ["derain_lows", "derain_highs"], ["derain_pairs"], axis=4),
        node("Reshape", ["derain_pairs", "derain_bytes_shape"], ["derain_bytes_out"]),
    ]


def _maker(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto:
    found: onnx.NodeProto = next(node for node in graph.node if tensor in node.output)
    return found


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied


def _replace(graph: onnx.GraphProto, by: Mapping[str, Sequence[onnx.NodeProto]]) -> None:
    """Puts in the place of the node that makes a tensor what `by` has for it."""
    nodes = [new for node in map(_copy, graph.node) for new in by.get(node.output[0], [node])]
    del graph.node[:]
    graph.node.extend(nodes)
