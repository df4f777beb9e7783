"""fp32 -> FP8 (E4M3) after training: what convolutions take is rounded to floats of 8 bits, by Q/DQ nodes.

Steps are such that the greatest value of real frames, and of each channel's weights, is the greatest of FP8.
Nothing between convolutions is rounded, as in `rounding.py`. Cards of compute capability 89 and later have
FP8; elsewhere it is as exact and slow.
"""

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.engines.halves import SCALES_OPSET, drop_unused, with_opset
from derain.train.calibration import Remembered, feeds

E4M3 = np.dtype(ml_dtypes.float8_e4m3fn)
GREATEST = 448.0
"""Of E4M3."""
TINY = 1e-8
"""Of what is always 0, a step that divides nothing by 0."""
Values = npt.NDArray[Any]


def to_fp8(
    graph: onnx.ModelProto, frames: Sequence[Pixels], states: Sequence[Remembered] = ()
) -> onnx.ModelProto:
    """A copy of `graph` with Q/DQ nodes; `frames`: (H, W, 3) uint8 to calibrate on, `states`: what a
    recurrent network remembers before each of them."""
    model = with_opset(graph, SCALES_OPSET)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    convs = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights]
    if not convs:
        raise UsageError("the network has nothing to quantise: none of its nodes is Conv")
    greatest = greatest_values(model, sorted({node.input[0] for node in convs}), feeds(frames, states))
    rounder = Rounder()
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            node.input[0] = rounder.taken(node.input[0], greatest[node.input[0]])
            node.input[1] = rounder.weights(node.input[1], weights[node.input[1]])
            nodes += rounder.fresh()
        nodes.append(helper.make_node("Identity", [], []))
        nodes[-1].CopyFrom(node)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(rounder.constants)
    drop_unused(model.graph)
    return model


def greatest_values(
    model: onnx.ModelProto, tensors: Sequence[str], fed: Sequence[Remembered]
) -> dict[str, float]:
    """The greatest absolute value of each tensor over all that the graph is `fed`."""
    import onnxruntime  # noqa: PLC0415 - slow to import, and only used here

    looking = onnx.ModelProto()
    looking.CopyFrom(model)
    inner = [name for name in tensors if name not in fed[0]]
    del looking.graph.output[:]
    looking.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in inner)
    session = onnxruntime.InferenceSession(looking.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict.fromkeys(tensors, 0.0)
    for taken in fed:
        values = dict(zip(inner, session.run(inner, dict(taken)), strict=True)) | dict(taken)
        for name in tensors:
            found[name] = max(found[name], float(np.abs(values[name]).max()))
    return found


class Rounder:
    """Makes Q/DQ nodes, each once, and their constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.made = set[str]()

    def fresh(self) -> list[onnx.NodeProto]:
        """The nodes made since it was asked last."""
        found, self.nodes = self.nodes, []
        return found

    def taken(self, name: str, greatest: float) -> str:
        """What a convolution takes, rounded."""
        if self._is_new(name):
            step = np.array(max(greatest, TINY) / GREATEST, np.float32)
            scale = self._constants(name, step, np.zeros((), E4M3))
            self._node("QuantizeLinear", [name, *scale], f"{name}_fp8_q")
            self._node("DequantizeLinear", [f"{name}_fp8_q", *scale], f"{name}_fp8")
        return f"{name}_fp8"

    def weights(self, name: str, values: Values) -> str:
        """A convolution's weights, kept in 8 bits."""
        if self._is_new(name):
            steps = np.abs(values).max(axis=(1, 2, 3)).clip(TINY).astype(np.float32) / np.float32(GREATEST)
            scale = self._constants(name, steps, np.zeros(len(steps), E4M3))
            rounded = (values / steps[:, None, None, None]).astype(E4M3)
            self.constants.append(numpy_helper.from_array(rounded, f"{name}_fp8_q"))
            self._node("DequantizeLinear", [f"{name}_fp8_q", *scale], f"{name}_fp8", axis=0)
        return f"{name}_fp8"

    def _is_new(self, name: str) -> bool:
        new = name not in self.made
        self.made.add(name)
        return new

    def _constants(self, name: str, steps: Values, zeros: Values) -> list[str]:
        named = {f"{name}_fp8_step": steps, f"{name}_fp8_zero": zeros}
        self.constants.extend(numpy_helper.from_array(values, key) for key, values in named.items())
        return list(named)

    def _node(self, kind: str, taken: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, taken, [output], name=output, **attributes))
