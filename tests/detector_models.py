"""Makes the tiny detectors that tests need, as ONNX files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape: TypeAlias = Sequence[int | str | None]


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    values: dict[str, npt.NDArray[Any]] | None = None,
    takes: Sequence[Shape] = ((1, 3, 32, 64),),
    gives: Sequence[Shape] = (("n", 6),),
) -> Path:
    """A model of inputs "in0", "in1", ... and outputs "out0", ..."""
    inputs = [helper.make_tensor_value_info(f"in{n}", TensorProto.FLOAT, s) for n, s in enumerate(takes)]
    outputs = [helper.make_tensor_value_info(f"out{n}", TensorProto.FLOAT, s) for n, s in enumerate(gives)]
    constants = [numpy_helper.from_array(value, name) for name, value in (values or {}).items()]
    graph = helper.make_graph(list(nodes), "detector", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save_model(model, path)
    return path


def constant(path: Path, output: Any, takes: Shape = (1, 3, 32, 64)) -> Path:
    """Gives `output` whatever it sees."""
    value = np.asarray(output, np.float32)
    nodes = [
        helper.make_node("ReduceSum", ["in0"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "value"], ["out0"]),
    ]
    values = {"nothing": np.array(0, np.float32), "value": value}
    return write(path, nodes, values, (takes,), (value.shape,))


def bright(path: Path) -> Path:
    """A detector of bright blocks of 8x8 pixels in 32x64, in the layout yolov8 with two classes.

    Each block's score of class 1 is its mean brightness, that of class 0 a tenth of it.
    """
    y, x = np.mgrid[4:32:8, 4:64:8].reshape(2, -1).astype(np.float32)
    places = np.stack([x, y, np.full_like(x, 8), np.full_like(x, 8)])[None]
    nodes = [
        helper.make_node("AveragePool", ["in0"], ["blocks"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceMean", ["blocks"], ["grey"], axes=[1]),
        helper.make_node("Reshape", ["grey", "flat"], ["one"]),
        helper.make_node("Mul", ["one", "tenth"], ["zero"]),
        helper.make_node("Concat", ["places", "zero", "one"], ["out0"], axis=1),
    ]
    values = {"flat": np.array([1, 1, 32]), "tenth": np.array(0.1, np.float32), "places": places}
    return write(path, nodes, values, gives=((1, 6, 32),))
