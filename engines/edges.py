"""Pixels at a network's edges: casting, scaling, layout and clipping put inside its graph."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from derain.engines.errors import UsageError
from derain.engines.modelfile import ATTENTION, INPUT, OUTPUT

PIXELS_IN, PIXELS_OUT = "derain_rainy_pixels", "derain_restored_pixels"
"""Names of the graph's ends after the surgery, (N, H, W, channels) of the asked dtype."""

_TYPES = {"uint8": (TensorProto.UINT8, 255), "uint16": (TensorProto.UINT16, 65535)}
_SHAPE = ("N", "H", "W")


def with_pixel_edges(core: onnx.ModelProto, dtype: str, attention: bool = False) -> onnx.ModelProto:
    """A copy of a core (see ModelFile) that takes and gives (N, H, W, 3) RGB pixels of `dtype`.

    `dtype`: "uint8" or "uint16"; raises UsageError for another one. `attention`: the core's attention map,
    scaled as the pixels are, comes as a fourth channel; without it nothing is computed for such a map.
    Results are rounded half to even. The casts stand at the very edge, where each runtime takes them.
    States of a recurrent network stay as they are, inputs and outputs after the pixels in the core's order.
    """
    if dtype not in _TYPES:
        raise UsageError(f"there are no pixels of dtype {dtype!r}; derain takes {' and '.join(_TYPES)}")
    element, peak = _TYPES[dtype]
    model = onnx.ModelProto()
    model.CopyFrom(core)
    graph = model.graph
    inside = list(graph.node)
    states = [end for end in graph.output if end.name not in (OUTPUT, ATTENTION)]
    if not attention and any(end.name == ATTENTION for end in graph.output):
        # ONNX Runtime computes what nobody asks for.
        inside = _nodes_for([OUTPUT, *(end.name for end in states)], inside)
    nodes = [*_way_in(element), *inside, *_way_out(element, attention)]
    others = [end for end in graph.input if end.name != INPUT]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(_constants(peak))
    graph.input.extend([helper.make_tensor_value_info(PIXELS_IN, element, (*_SHAPE, 3)), *others])
    shape = (*_SHAPE, 4 if attention else 3)
    graph.output.extend([helper.make_tensor_value_info(PIXELS_OUT, element, shape), *states])
    return model


def _way_in(element: int) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", [PIXELS_IN], ["derain_in_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["derain_in_float"], ["derain_in_planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["derain_in_planes", "derain_scale_in"], [INPUT]),
    ]


def _way_out(element: int, attention: bool) -> list[onnx.NodeProto]:
    planes = "derain_out_joined" if attention else OUTPUT
    joined = [helper.make_node("Concat", [OUTPUT, ATTENTION], [planes], axis=1)] if attention else []
    return [
        *joined,
        helper.make_node("Clip", [planes, "derain_zero", "derain_one"], ["derain_out_clipped"]),
        helper.make_node("Mul", ["derain_out_clipped", "derain_scale_out"], ["derain_out_scaled"]),
        helper.make_node("Round", ["derain_out_scaled"], ["derain_out_rounded"]),
        helper.make_node("Cast", ["derain_out_rounded"], ["derain_out_planes"], to=element),
        helper.make_node("Transpose", ["derain_out_planes"], [PIXELS_OUT], perm=[0, 2, 3, 1]),
    ]


def _nodes_for(tensors: Iterable[str], nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Those of `nodes`, in their order, that `tensors` are made by."""
    asked, kept = set(tensors), []
    for node in reversed(nodes):
        if asked.intersection(node.output):
            kept.append(node)
            asked.update(name for name in _reads(node) if name)  # one left out has an empty name
    return kept[::-1]


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors a node takes, itself or in the bodies of its loops and branches."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from _reads(inner)


def _constants(peak: int) -> list[onnx.TensorProto]:
    values = {"scale_in": 1 / peak, "scale_out": peak, "zero": 0, "one": 1}
    return [
        numpy_helper.from_array(np.array(value, np.float32), f"derain_{name}")
        for name, value in values.items()
    ]
