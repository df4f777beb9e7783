"""Tiny models with cards, as `derain export` writes them: `rainy` and `restored`, (N, 3, H, W) float32."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from derain.engines.card import ModelCard, StatePair, Tiling, weights_sha256, write_card

Weights = npt.NDArray[np.float32]

CARD = ModelCard(
    name="test",
    version="1",
    removes=("streaks",),
    halo=0,
    multiple_of=1,
    tiling=Tiling.EXACT,
    licence="MIT",
)
"""What the makers below start from; they take other values by name, e.g. identity(folder, halo=3)."""


def identity(folder: Path, name: str = "identity", **card: Any) -> Path:
    """Gives back what it gets."""
    model = make([helper.make_node("Identity", ["rainy"], ["restored"])])
    return save(model, folder, replace(CARD, **{"name": name, **card}))


def conv(
    folder: Path,
    name: str = "conv",
    kernel: int = 3,
    layers: int = 1,
    seed: int = 0,
    weights: Weights | None = None,
    bias: Weights | None = None,
    **card: Any,
) -> Path:
    """Convolutions padded by zeros; halo = layers * (kernel // 2).

    `weights`: (3, 3, kernel, kernel), one layer, used as they are, `bias` (3,) zeros where not given.
    Without `weights` they are random, of both signs, and the results spread around mid grey.
    """
    if weights is not None:
        kernel, layers = weights.shape[-1], 1
    stack = [(weights, np.zeros(3, np.float32) if bias is None else bias)] if weights is not None else None
    nodes, values = convolutions("rainy", "restored", stack or random_stack([3] * (layers + 1), kernel, seed))
    facts = {"name": name, "halo": layers * (kernel // 2), **card}
    return save(make(nodes, values), folder, replace(CARD, **facts))


def unshuffle(
    folder: Path,
    name: str = "unshuffle",
    factor: int = 2,
    channels: int = 8,
    layers: int = 2,
    seed: int = 0,
    **card: Any,
) -> Path:
    """3x3 convolutions with ReLU at 1/factor resolution and a global residual; multiple_of = factor.

    A pixel sees `layers` blocks to each side of its own, wherever in its block it lies:
    halo = factor * layers + factor - 1.
    """
    deep = 3 * factor * factor
    widths = [deep] + [channels] * (layers - 1) + [deep]
    nodes, values = convolutions("deep", "deep_out", random_stack(widths, 3, seed), relu=True)
    nodes = [
        helper.make_node("SpaceToDepth", ["rainy"], ["deep"], blocksize=factor),
        *nodes,
        helper.make_node("DepthToSpace", ["deep_out"], ["rain"], blocksize=factor, mode="DCR"),
        helper.make_node("Add", ["rainy", "rain"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["restored"]),
    ]
    values.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    facts = {"name": name, "halo": factor * layers + factor - 1, "multiple_of": factor, **card}
    return save(make(nodes, values), folder, replace(CARD, **facts))


def attentive(folder: Path, name: str = "attentive", kernel: int = 1, **card: Any) -> Path:
    """Gives half of every value, and as its attention map the mean red of kernel x kernel pixels around."""
    weights = np.zeros((1, 3, kernel, kernel), np.float32)
    weights[0, 0] = 1 / kernel**2
    nodes, values = convolutions("rainy", "attention", [(weights, np.zeros(1, np.float32))])
    nodes.append(helper.make_node("Mul", ["rainy", "half"], ["restored"]))
    model = make(nodes, [*values, numpy_helper.from_array(np.array(0.5, np.float32), "half")])
    add_output(model, "attention", ("N", 1, "H", "W"))
    return save(model, folder, replace(CARD, **{"name": name, "halo": kernel // 2, **card}))


def mapped(folder: Path, name: str = "mapped", scale: int = 4, kernel: int = 3, **card: Any) -> Path:
    """Gives half of every value, and two maps at 1/scale of the frame.

    Drops are the mean red and streaks the mean green of a cell of scale x scale pixels, each of which is the
    mean of kernel x kernel pixels around.
    """
    weights = np.zeros((2, 3, kernel, kernel), np.float32)
    weights[0, 0] = weights[1, 1] = 1 / kernel**2
    nodes, values = convolutions("rainy", "means", [(weights, np.zeros(2, np.float32))])
    side = [scale, scale]
    nodes += [
        helper.make_node("AveragePool", ["means"], ["attention"], kernel_shape=side, strides=side),
        helper.make_node("Mul", ["rainy", "half"], ["restored"]),
    ]
    model = make(nodes, [*values, numpy_helper.from_array(np.array(0.5, np.float32), "half")])
    add_output(model, "attention", ("N", 2, "h", "w"))
    facts = {"halo": scale - 1 + kernel // 2, "multiple_of": scale, "attention_scale": scale, **card}
    return save(model, folder, replace(CARD, **{"name": name, "attention": ("drops", "streaks"), **facts}))


def glance(folder: Path, name: str = "glance", scale: int = 32, **card: Any) -> Path:
    """Gives back what it gets, and as its one map the greatest red of a cell of scale x scale pixels."""
    side = [scale, scale]
    nodes = [
        helper.make_node("Identity", ["rainy"], ["restored"]),
        helper.make_node("Split", ["rainy"], ["red", "green", "blue"], axis=1),
        helper.make_node("MaxPool", ["red"], ["attention"], kernel_shape=side, strides=side),
    ]
    model = make(nodes)
    add_output(model, "attention", ("N", 1, "h", "w"))
    facts = {"halo": scale - 1, "multiple_of": scale, "attention": ("rain",), "attention_scale": scale}
    return save(model, folder, replace(CARD, **{"name": name, **facts, **card}))


def recurrent(
    folder: Path, name: str = "recurrent", factor: int = 4, attention: bool = False, **card: Any
) -> Path:
    """Takes away what it remembers of the frames before, in two states; multiple_of = factor.

    memory_next = half the mean of 3x3 cells of `memory` and half the mean of factor x factor rainy pixels;
    redness_next = half of `redness` (at full size) and half of red. restored = rainy less half of
    memory_next, spread to pixels, and half of `redness`; redness_next is the attention map, if one is wanted.
    """
    spread = np.ones((3, 1, factor, factor), np.float32)
    blur = np.full((3, 1, 3, 3), 0.5 / 9, np.float32)
    values = {"spread": spread, "blur": blur, "half": np.array(0.5, np.float32)}
    node = helper.make_node
    nodes = [
        node("AveragePool", ["rainy"], ["means"], kernel_shape=[factor] * 2, strides=[factor] * 2),
        node("Mul", ["means", "half"], ["half_means"]),
        node("Conv", ["memory", "blur"], ["blurred"], pads=[1] * 4, group=3),
        node("Add", ["blurred", "half_means"], ["memory_next"]),
        node("ConvTranspose", ["memory_next", "spread"], ["wide"], strides=[factor] * 2, group=3),
        node("Mul", ["wide", "half"], ["rain"]),
        node("Sub", ["rainy", "rain"], ["drier"]),
        node("Split", ["rainy"], ["red", "green", "blue"], axis=1),
        node("Add", ["red", "redness"], ["both"]),
        node("Mul", ["both", "half"], ["redness_next"]),
        node("Mul", ["redness", "half"], ["drops"]),
        node("Sub", ["drier", "drops"], ["restored"]),
    ]
    shapes = {"memory": ("N", 3, "h", "w"), "redness": ("N", 1, "H", "W")}
    read = [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()]
    tensors = [numpy_helper.from_array(value, key) for key, value in values.items()]
    model = make(nodes, tensors, further=read)
    if attention:
        model.graph.node.append(node("Identity", ["redness_next"], ["attention"]))
        add_output(model, "attention", ("N", 1, "H", "W"))
    for key, shape in shapes.items():
        add_output(model, f"{key}_next", shape)
    states = (StatePair("memory", "memory_next", factor), StatePair("redness", "redness_next", 1))
    facts = {"name": name, "halo": 2 * factor - 1, "multiple_of": factor, "states": states, **card}
    return save(model, folder, replace(CARD, **facts))


def add_output(
    model: onnx.ModelProto, name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT
) -> None:
    """Gives out one more tensor, after the others."""
    model.graph.output.append(helper.make_tensor_value_info(name, dtype, shape))


def wrong_shape(folder: Path, name: str = "wrong_shape") -> Path:
    """Takes and gives one channel, where derain feeds three."""
    node = helper.make_node("Identity", ["rainy"], ["restored"])
    return save(make([node], shape=("N", 1, "H", "W")), folder, replace(CARD, name=name))


def without_card(folder: Path, name: str = "without_card") -> Path:
    """A good network, but nothing says how to feed it."""
    path = folder / f"{name}.onnx"
    onnx.save_model(make([helper.make_node("Identity", ["rainy"], ["restored"])]), path)
    return path


def make(
    nodes: Sequence[onnx.NodeProto],
    values: Sequence[onnx.TensorProto] = (),
    names: tuple[str, str] = ("rainy", "restored"),
    shape: Sequence[int | str] = ("N", 3, "H", "W"),
    dtype: int = TensorProto.FLOAT,
    further: Sequence[onnx.ValueInfoProto] = (),
) -> onnx.ModelProto:
    """A checked model of one input, one output of the same shape and dtype, and `further` inputs."""
    ends = [helper.make_tensor_value_info(name, dtype, shape) for name in names]
    graph = helper.make_graph(list(nodes), "test", [ends[0], *further], ends[1:], list(values))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def save(model: onnx.ModelProto, folder: Path, card: ModelCard) -> Path:
    """Writes `model` with `card`, the hash of its weights filled in where the card has none."""
    write_card(model, card if card.sha256 else replace(card, sha256=weights_sha256(model)))
    path = folder / f"{card.name}.onnx"
    onnx.save_model(model, path)
    return path


def random_stack(widths: Sequence[int], kernel: int, seed: int) -> list[tuple[Weights, Weights]]:
    """Weights and biases of layers from widths[i] to widths[i + 1]; the last bias is 0.5, the others 0."""
    rng = np.random.default_rng(seed)
    stack = []
    for taken, given in pairwise(widths):
        weights = rng.normal(0, 0.6 / np.sqrt(taken * kernel * kernel), (given, taken, kernel, kernel))
        stack.append((weights.astype(np.float32), np.zeros(given, np.float32)))
    stack[-1][1][:] = 0.5
    return stack


def convolutions(
    first: str, last: str, stack: Sequence[tuple[Weights, Weights]], relu: bool = False
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and initialisers of convolutions from tensor `first` to `last`; ReLU between them if asked."""
    nodes, values = [], []
    for index, (weights, bias) in enumerate(stack):
        end = index == len(stack) - 1
        names = [f"weights{index}", f"bias{index}"]
        values += [numpy_helper.from_array(weights, names[0]), numpy_helper.from_array(bias, names[1])]
        given = last if end else f"layer{index}"
        pads = [weights.shape[-1] // 2] * 4
        nodes.append(helper.make_node("Conv", [first, *names], [given], pads=pads))
        if relu and not end:
            nodes.append(helper.make_node("Relu", [given], [f"active{index}"]))
            given = f"active{index}"
        first = given
    return nodes, values
