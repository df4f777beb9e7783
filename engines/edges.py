"""Pixels at a network's edges: casting, scaling, layout and clipping put inside its graph."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.maps import SCORES, Constants, is_used, map_constants, map_nodes, planes_of
from derain.engines.modelfile import ATTENTION, INPUT, OUTPUT, ModelFile

PIXELS_IN, PIXELS_OUT = "derain_rainy_pixels", "derain_restored_pixels"
"""Names of the graph's ends after the surgery, (N, H, W, channels) of the asked dtype."""

_TYPES = {"uint8": (TensorProto.UINT8, 255), "uint16": (TensorProto.UINT16, 65535)}
_SHAPE = ("N", "H", "W")


def with_pixel_edges(model: ModelFile, options: EngineOptions) -> onnx.ModelProto:
    """A copy of the model's core (see ModelFile) that takes and gives (N, H, W, 3) RGB pixels.

    Of the dtype in `options`; raises UsageError where it is not "uint8" or "uint16". Attention maps wanted as
    channels come after the colours, scaled as they are; scores are the last output, float32; where none of
    the maps is wanted, nothing is computed for them. Results are rounded half to even. The casts stand at the
    very edge, where each runtime takes them. States of a recurrent network stay as they are, inputs and
    outputs after the pixels in the core's order.
    """
    if options.dtype not in _TYPES:
        raise UsageError(
            f"there are no pixels of dtype {options.dtype!r}; derain takes {' and '.join(_TYPES)}"
        )
    element, peak = _TYPES[options.dtype]
    whole = onnx.ModelProto()
    whole.CopyFrom(model.graph)
    graph = whole.graph
    states = [end for end in graph.output if end.name not in (OUTPUT, ATTENTION)]
    wanted = [OUTPUT, *(end.name for end in states), *([ATTENTION] if is_used(options) else [])]
    # ONNX Runtime computes what nobody asks for.
    inside = [*_nodes_for(wanted, graph.node), *map_nodes(model.card, options)]
    nodes = [*_way_in(element), *inside, *_way_out(element, planes_of(options))]
    others = [end for end in graph.input if end.name != INPUT]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    constants = _constants(peak) | map_constants(model.card, options)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.input.extend([helper.make_tensor_value_info(PIXELS_IN, element, (*_SHAPE, 3)), *others])
    graph.output.extend(_outputs(model, options, element, states))
    return whole


def _way_in(element: int) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", [PIXELS_IN], ["derain_in_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["derain_in_float"], ["derain_in_planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["derain_in_planes", "derain_scale_in"], [INPUT]),
    ]


def _outputs(
    model: ModelFile, options: EngineOptions, element: int, states: Sequence[onnx.ValueInfoProto]
) -> list[onnx.ValueInfoProto]:
    channels = 3 + len(model.card.attention) * options.attention
    pixels = helper.make_tensor_value_info(PIXELS_OUT, element, (*_SHAPE, channels))
    scores = helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ("N", "h_scores", "w_scores"))
    return [pixels, *states, *([scores] if options.scores else [])]


def _way_out(element: int, planes: str) -> list[onnx.NodeProto]:
    return [
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


def _constants(peak: int) -> Constants:
    values = {"scale_in": 1 / peak, "scale_out": peak, "zero": 0, "one": 1}
    return {f"derain_{name}": np.array(value, np.float32) for name, value in values.items()}
