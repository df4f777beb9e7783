"""fp32 -> fp16 or bf16, written into the graph: what a strongly typed runtime takes for its precision.

From the first convolution to the last, networks compute in halves. fp32 stay: what is before and behind them
(the pixels, and the sum that makes the picture: they cost little, and their errors are the picture's), and
islands where halves would lose too much, see SENSITIVE. (onnxruntime.transformers.float16 knows no bf16, and
clips weights that don't fit without a word.)
"""

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from derain.engines.errors import UsageError

HEAVY = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""What halves are for."""
SENSITIVE = (
    *("Softmax", "LogSoftmax", "Exp", "Log", "Pow", "Sqrt", "Reciprocal", "CumSum", "Scan", "Loop", "If"),
    *("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceProd"),
    *("GlobalAveragePool", "BatchNormalization", "InstanceNormalization", "LayerNormalization"),
    "GroupNormalization",
)
"""Sums over many values, what leaves the range of halves, and what goes on from step to step."""
FLOAT_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs that are fp32 by ONNX, whatever the others are."""
QUANTISED = ("QuantizeLinear", "DequantizeLinear")
KINDS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
_TYPES = {"fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
GREATEST = {"fp16": 65504.0, "bf16": (2 - 2**-7) * 2.0**127}
SCALES_OPSET = 19
"""From this ONNX opset on the scales of Q/DQ nodes may be in halves, and there is FP8."""
LEAST_SCALE = 2.0**-14
"""Smaller scales of Q/DQ nodes are not exact enough in fp16."""


def to_half(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """A copy of `model` that computes in "fp16" or "bf16"; its inputs and outputs stay as they are.

    Q/DQ nodes keep their integers, and what is between them is in halves: see `can_have_halves`.
    Raises UsageError where a weight is not a number, or greater than halves hold.
    """
    check_weights(model)
    rounds = any(node.op_type in QUANTISED for node in model.graph.node)
    whole = with_opset(model, SCALES_OPSET if rounds else 0)
    _constants_as_weights(whole.graph)
    rewriter = Rewriter(whole.graph, kind, float_tensors(whole))
    nodes = [new for place, node in enumerate(whole.graph.node) for new in rewriter.rewritten(place, node)]
    del whole.graph.node[:], whole.graph.value_info[:]
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(rewriter.weights)
    drop_unused(whole.graph)
    return whole


def can_have_halves(model: onnx.ModelProto) -> bool:
    """Whether the scales of its Q/DQ nodes, if it has any, are exact enough in halves."""
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    names = {node.input[1] for node in model.graph.node if node.op_type in QUANTISED}
    return all((numpy_helper.to_array(values[name]) >= LEAST_SCALE).all() for name in names)


def with_opset(model: onnx.ModelProto, least: int) -> onnx.ModelProto:
    """A copy of `model` in the ONNX opset `least`, or in its own where that is later."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    if all(entry.version >= least for entry in model.opset_import if entry.domain in ("", "ai.onnx")):
        return whole
    converted: onnx.ModelProto = onnx.version_converter.convert_version(whole, least)
    return converted


def check_weights(model: onnx.ModelProto) -> None:
    """Raises UsageError where a weight is not a finite number."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and not np.isfinite(numpy_helper.to_array(tensor)).all():
            raise UsageError(
                f"the network's weight {tensor.name!r} has values that are not finite numbers; export the "
                "network again, from a checkpoint whose training did not diverge"
            )


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """What ONNX calls the dtype of each tensor of the graph, weights among them."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    typed = (*graph.input, *graph.output, *graph.value_info)
    found = {value.name: value.type.tensor_type.elem_type for value in typed}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def float_tensors(model: onnx.ModelProto) -> set[str]:
    """The names of all fp32 tensors of the graph, weights among them."""
    return {name for name, element in element_types(model).items() if element == TensorProto.FLOAT}


class Rewriter:
    """Goes over a graph's nodes in their order. A tensor in halves is called as it was, and "_fp16" or so."""

    def __init__(self, graph: onnx.GraphProto, kind: str, floats: set[str]) -> None:
        self.kind, self.floats = kind, floats
        self.values = {tensor.name: tensor for tensor in graph.initializer}
        self.halves = in_halves(graph, floats)
        self.wanted = self._wanted_in_fp32(graph)
        self.weights: list[onnx.TensorProto] = []
        self.there = set[str]()
        """What there is in halves so far, by its first name."""

    def rewritten(self, place: int, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """What stands in the place of `node`: itself, or itself in halves and the casts around it."""
        new = onnx.NodeProto()
        new.CopyFrom(node)
        if place not in self.halves:
            yield new
            return
        for number in self._turned(node):
            yield from self._half(node.input[number])
            new.input[number] = self._named(node.input[number])
        given = [name for name in node.output if name in self.floats]
        for number, name in enumerate(node.output):
            new.output[number] = self._named(name) if name in given else name
        self.there.update(given)
        yield new
        for name in self.wanted.intersection(given):
            yield helper.make_node("Cast", [self._named(name)], [name], to=TensorProto.FLOAT)

    def _turned(self, node: onnx.NodeProto) -> list[int]:
        """The inputs of a node in halves that are so too."""
        kept = FLOAT_INPUTS.get(node.op_type, ())
        return [n for n, name in enumerate(node.input) if name in self.floats and n not in kept]

    def _half(self, name: str) -> Iterator[onnx.NodeProto]:
        """The cast that makes `name` in halves, where it is still to be made."""
        if name in self.there:
            return
        self.there.add(name)
        if name in self.values:
            values = numpy_helper.to_array(self.values[name])
            _check_greatest(name, values, self.kind)
            self.weights.append(numpy_helper.from_array(values.astype(_TYPES[self.kind]), self._named(name)))
        else:
            yield helper.make_node("Cast", [name], [self._named(name)], to=KINDS[self.kind])

    def _named(self, name: str) -> str:
        return f"{name}_{self.kind}"

    def _wanted_in_fp32(self, graph: onnx.GraphProto) -> set[str]:
        """What the graph gives, and what its fp32 nodes read, the bodies of loops too."""
        found = {value.name for value in graph.output}
        for place, node in enumerate(graph.node):
            turned = self._turned(node) if place in self.halves else []
            found.update(name for number, name in enumerate(node.input) if number not in turned)
            found.update(inner_reads(node))
        return found


def _check_greatest(name: str, values: npt.NDArray[Any], kind: str) -> None:
    greatest = float(np.abs(values).max(initial=0))
    if greatest > GREATEST[kind]:
        raise UsageError(
            f"the network's weight {name!r} reaches {greatest:.4g}, more than {kind} holds "
            f"({GREATEST[kind]:.5g}); take the precision {'bf16 or ' if kind == 'fp16' else ''}fp32"
        )


def in_halves(graph: onnx.GraphProto, floats: set[str]) -> set[int]:
    """The places of the nodes that are to compute in halves."""
    weights, leading = {tensor.name for tensor in graph.initializer}, _leading_to_heavy(graph)
    found, fed, islands = set[int](), set[str](), set[str]()
    for place, node in enumerate(graph.node):
        heavy, taken = node.op_type in HEAVY, {name for name in node.input if name in floats} - weights
        if heavy or fed.intersection(node.input):
            fed.update(node.output)
        # What is made of islands alone, such as the root of a mean, is one with them.
        if node.op_type in SENSITIVE or (not heavy and taken and taken <= islands):
            islands.update(node.output)
        elif taken and place in leading and fed.intersection(node.output):
            found.add(place)
    read = {name for place in found for name in graph.node[place].input}
    unpacking = [at for at, node in enumerate(graph.node) if node.op_type == "DequantizeLinear"]
    return found | {place for place in unpacking if read.intersection(graph.node[place].output)}


def inner_reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that the bodies of a loop or branch read, their own among them."""
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            yield from (value.name for value in body.output)
            for inner in body.node:
                yield from inner.input
                yield from inner_reads(inner)


def _leading_to_heavy(graph: onnx.GraphProto) -> set[int]:
    """The places of heavy nodes and of those that one takes something of, however far up."""
    found, feeding = set[int](), set[str]()
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if node.op_type in HEAVY or feeding.intersection(node.output):
            found.add(place)
            feeding.update(node.input)
            feeding.update(inner_reads(node))
    return found


def _constants_as_weights(graph: onnx.GraphProto) -> None:
    """Makes weights of the nodes that give a constant tensor."""
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        value = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            del graph.node[place]


def drop_unused(graph: onnx.GraphProto) -> None:
    """Takes out weights that nothing reads any more."""
    read = {name for node in graph.node for name in (*node.input, *inner_reads(node))}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in read:
            del graph.initializer[place]
