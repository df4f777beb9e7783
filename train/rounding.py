"""INT8 while a network trains: it learns under the rounding that its Q/DQ file will have.

Every convolution rounds what it takes to 8 bits with one range, and its weights with one range a channel, all
symmetric, as `quantise.py` does after training. Nothing else is rounded: what lies between convolutions
(sums, gates) stays float, which is nearer to fp32 (the shipped network by 0.7 dB) and was 2 to 5 % slower.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from derain.engines.errors import DerainError
from derain.train.networks.recurrent import along

Network = TypeVar("Network", bound=nn.Module)
MOST = 127
"""Of the 8 bits of a weight, in both directions: -128 has no counterpart."""
LEVELS = 255
"""Steps of 8 bits from the least to the greatest value."""
TINY = 1e-8
"""Of what is always 0, a step that divides nothing by 0."""


class Range(NamedTuple):
    """Of what a convolution takes: values are `step` times whole numbers from `least` to `least` + LEVELS.
    `least`: 0 where nothing is below 0, else -128."""

    step: float
    least: int


class RoundedConv(nn.Conv2d):
    """A convolution of rounded values by rounded weights; `step`, `least`: see Range."""

    step: Tensor
    least: Tensor

    def forward(self, x: Tensor) -> Tensor:
        taken = rounded(x.float(), self.step, self.least, self.least + LEVELS)
        most = torch.full_like(self.least, MOST)
        weight = rounded(self.weight, weight_steps(self.weight), -most, most)
        return torch.as_tensor(self._conv_forward(taken, weight, self.bias))


def rounded(values: Tensor, step: Tensor, least: Tensor, greatest: Tensor) -> Tensor:
    """The nearest whole number of steps from `least` to `greatest`, as Q/DQ nodes find it. Gradients pass as
    if nothing was rounded, but not where a value is out of range."""
    inside = (values / step).clamp(least, greatest)
    return (inside + (inside.round() - inside).detach()) * step


def weight_steps(weight: Tensor) -> Tensor:
    """The step of each channel's weights, (C, 1, 1, 1): the largest of them are MOST steps."""
    return weight.detach().abs().amax((1, 2, 3), keepdim=True).clamp_min(TINY) / MOST


def convolutions(network: nn.Module) -> dict[str, RoundedConv]:
    """Those that round, by their names."""
    return {name: child for name, child in network.named_modules() if isinstance(child, RoundedConv)}


def rounding(network: Network) -> Network:
    """Makes every convolution of the network round, with ranges that are still to be set; the network."""
    for child in network.modules():
        if type(child) is nn.Conv2d:
            child.__class__ = RoundedConv
            child.register_buffer("step", child.weight.new_ones(()))
            child.register_buffer("least", child.weight.new_zeros(()))
    return network


def exact(network: Network) -> Network:
    """A copy that rounds nothing, with the same weights."""
    plain = copy.deepcopy(network)
    for child in convolutions(plain).values():
        child.__class__ = nn.Conv2d  # type: ignore[assignment]  # what `rounding` made of it, undone
        del child.step, child.least
    return plain


@torch.no_grad()
def ranges(network: nn.Module, clips: Iterable[Tensor]) -> dict[str, Range]:
    """Of what each convolution of a network that rounds nothing takes: its extremes in each frame of `clips`
    (T, 3, H, W), their mean over all. Of several frames the first, before which nothing is remembered, does
    not count."""
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def looking(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda child, taken: seen[name].append((float(taken[0].min()), float(taken[0].max())))

    convs = [(name, child) for name, child in network.named_modules() if isinstance(child, nn.Conv2d)]
    for clip in clips:
        several = len(clip) > 1
        states = along(network, clip[None, :1])[0].states if several else ()
        hooks = [child.register_forward_pre_hook(looking(name)) for name, child in convs]
        along(network, clip[None, int(several) :], states)
        for hook in hooks:
            hook.remove()
    return {name: range_of(*np.mean(extremes, axis=0)) for name, extremes in seen.items()}


def range_of(least: float, greatest: float) -> Range:
    """The symmetric range that holds both."""
    if least >= 0:
        return Range(max(greatest, TINY) / LEVELS, 0)
    return Range(max(-least, greatest) / MOST, -MOST - 1)


def set_ranges(network: nn.Module, found: Mapping[str, Range]) -> None:
    """Rounds from now on with those ranges."""
    for name, child in convolutions(network).items():
        child.step.fill_(found[name].step)
        child.least.fill_(found[name].least)


def with_rounding(model: onnx.ModelProto, network: nn.Module) -> onnx.ModelProto:
    """A copy of `model`, the ONNX of exact(network), that rounds as `network` does: Q/DQ nodes before every
    convolution, and its weights as integers. DerainError where the file has lost a convolution."""
    found = copy.deepcopy(model)
    graph, rounder = found.graph, Rounder(found.graph)
    by_weight = {f"network.{name}.weight": child for name, child in convolutions(network).items()}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        conv = by_weight.get(node.input[1]) if node.op_type == "Conv" else None
        if conv is not None:
            node.input[0] = rounder.taken(node.input[0], conv)
            node.input[1] = rounder.weights(node.input[1], conv)
            nodes += rounder.fresh()
        nodes.append(node)
    if lost := sorted(by_weight.keys() - rounder.seen):
        raise DerainError(f"the export has no convolution of {', '.join(lost)} to round; it is not quantised")
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return found


class Rounder:
    """Makes Q/DQ nodes, each once, and their constants in the graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph, self.nodes, self.made = graph, list[onnx.NodeProto](), set[str]()
        self.seen = set[str]()

    def fresh(self) -> list[onnx.NodeProto]:
        """The nodes made since it was asked last."""
        found, self.nodes = self.nodes, []
        return found

    def constant(self, name: str, values: Any) -> str:
        """The name of a constant, put into the graph where it is new."""
        if name not in self.made:
            self.made.add(name)
            self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, taken: list[str], output: str, **attributes: Any) -> str:
        """The name of a node's output, the node made where it is new."""
        if output not in self.made:
            self.made.add(output)
            self.nodes.append(helper.make_node(kind, taken, [output], name=output, **attributes))
        return output

    def taken(self, name: str, conv: RoundedConv) -> str:
        """What a convolution takes, rounded."""
        step, signed = np.float32(conv.step), bool(conv.least < 0)
        own = f"{name}_by_{step:.9g}{'_signed' if signed else ''}"
        scale = self.constant(f"{own}_scale", np.asarray(step))
        zero = self.constant(f"{own}_zero", np.zeros((), np.int8 if signed else np.uint8))
        whole = self.node("QuantizeLinear", [name, scale, zero], f"{own}_q")
        return self.node("DequantizeLinear", [whole, scale, zero], own)

    def weights(self, name: str, conv: RoundedConv) -> str:
        """A convolution's weights, kept as integers."""
        self.seen.add(name)
        weight, steps = conv.weight.detach(), weight_steps(conv.weight)
        whole = (weight / steps).round().to(torch.int8).cpu().numpy()
        scale = self.constant(f"{name}_scale", steps.flatten().cpu().numpy())
        zero = self.constant(f"{name}_zero", np.zeros(len(whole), np.int8))
        kept = self.constant(f"{name}_q", whole)
        return self.node("DequantizeLinear", [kept, scale, zero], f"{name}_rounded", axis=0)
