"""How large a network's tensors get: what a runtime can address at once."""

import math

import onnx

from derain.engines.modelfile import INPUT, ModelFile

MOST_ELEMENTS = 2**31 - 1
"""Of a tensor in TensorRT."""
_SIDE = 64


def elements_per_pixel(model: ModelFile) -> float:
    """Elements of the network's largest tensor for each pixel of a batch, as far as shapes can be told."""
    graph, multiple_of = onnx.ModelProto(), model.card.multiple_of
    graph.CopyFrom(model.graph)
    side = -(-_SIDE // multiple_of) * multiple_of
    scales = {INPUT: 1} | {spec.name: spec.scale for spec in model.states}
    for end in graph.graph.input:
        if end.name in scales:
            dims = end.type.tensor_type.shape.dim
            for place, size in ((0, 1), (2, side // scales[end.name]), (3, side // scales[end.name])):
                dims[place].dim_value = size
    del graph.graph.value_info[:]
    for end in graph.graph.output:
        end.type.tensor_type.ClearField("shape")
    found = onnx.shape_inference.infer_shapes(graph, data_prop=True).graph
    sizes = [_elements(value) for value in (*found.input, *found.value_info, *found.output)]
    return max(sizes) / side**2


def most_pixels(model: ModelFile) -> int:
    """Of a batch that TensorRT can address."""
    return int(MOST_ELEMENTS / elements_per_pixel(model))


def _elements(value: onnx.ValueInfoProto) -> int:
    """Of one whose shape is known; 0 of another."""
    return math.prod(dim.dim_value for dim in value.type.tensor_type.shape.dim)
