"""An ONNX graph as torch functions: read once, then fitted to the sizes of what it is fed.

(onnx2torch and onnx2pytorch were looked at: neither is kept up with ONNX, neither takes Scan, and both leave
arithmetic on shapes to the device, where a CUDA graph can't be captured with it.)
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import onnx
from onnx import helper

from derain.engines.errors import UsageError
from derain.engines.torch_operators import (
    TENSORS,
    Function,
    Node,
    Operator,
    Tensor,
    Torch,
    UnsupportedError,
    to_tensor,
)
from derain.engines.torch_pictures import PICTURES

OPERATORS: Mapping[str, Operator] = {**TENSORS, **PICTURES}


class Step(NamedTuple):
    """A node. `reads`: its inputs, "" for one left out, and what its body reads of the graph around it.
    `numbers`, `scalars`: see Operator. `free`: it does not read pixels, only their shape."""

    told: str
    function: Function
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    scalars: bool = False
    free: bool = False


class Name(NamedTuple):
    """Stands for the tensor of that name among the arguments of a call."""

    of: str


class Call(NamedTuple):
    """A step with all that does not depend on pixels filled in. `done`: names that nobody reads after it."""

    function: Function
    arguments: tuple[Any, ...]
    gives: tuple[str, ...]
    done: tuple[str, ...] = ()

    def __call__(self, values: dict[str, Tensor]) -> None:
        """Puts what it gives among `values`, and takes away what is done."""
        taken = [values[one.of] if isinstance(one, Name) else one for one in self.arguments]
        values.update(zip(self.gives, _several(self.function(*taken)), strict=False))
        for name in self.done:
            del values[name]


class Fitted(NamedTuple):
    """A graph for inputs of certain sizes: nothing but torch's functions of tensors is left of it."""

    takes: tuple[str, ...]
    calls: tuple[Call, ...]
    gives: tuple[Any, ...]

    def __call__(self, *fed: Tensor) -> tuple[Tensor, ...]:
        """The graph's outputs."""
        values = dict(zip(self.takes, fed, strict=True))
        for call in self.calls:
            call(values)
        return tuple(values[one.of] if isinstance(one, Name) else one for one in self.gives)


class Network:
    """A graph, read. Its constants are on the CPU, and where they are used on that device too, once."""

    def __init__(self, torch: Torch, graph: onnx.GraphProto, told: str) -> None:
        """`told`: how messages begin. Raises UsageError for an operator that is not known here."""
        self._told = told
        self._there: dict[str, Tensor] = {}
        self._known = {tensor.name: _constant(torch, tensor, told) for tensor in graph.initializer}
        self.takes = tuple(end.name for end in graph.input if end.name not in self._known)
        self.gives = tuple(end.name for end in graph.output)
        self._steps: list[Step] = []
        for node in graph.node:
            step = _step(torch, node, told)
            if all(name in self._known for name in step.reads if name) and not step.free:
                self._run(step, self._known, {})
            else:
                self._steps.append(step)
        self._dead = _never_read_again(self._steps, self.gives)

    @property
    def outer(self) -> tuple[str, ...]:
        """What it reads that it neither takes nor makes: a body's, of the graph around it."""
        own = {*self.takes, *self._known, *(name for step in self._steps for name in step.gives)}
        read = [*(name for step in self._steps for name in step.reads if name), *self.gives]
        return tuple(dict.fromkeys(name for name in read if name not in own))

    def fitted(self, fed: Mapping[str, Tensor]) -> Fitted:
        """What is to be done for inputs of the sizes of `fed`, by name; runs the graph once, with them.

        Raises UsageError where numbers that an operator needs are found out from pixels.
        """
        known, values, calls = dict(self._known), dict(fed), []
        device = next(iter(fed.values())).device
        for step, dead in zip(self._steps, self._dead, strict=True):
            if step.free or all(name in known for name in step.reads if name):
                self._run(step, known, values)
            else:
                calls.append(Call(step.function, tuple(self._arguments(step, known, device)), step.gives))
                calls[-1](values)
            for name in dead:
                values.pop(name, None)
        gives = [self._on(device, name, known) for name in self.gives]
        return Fitted(tuple(fed), _with_ends(calls, self.gives), tuple(gives))

    def _run(self, step: Step, known: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
        """Does on the CPU what does not depend on pixels."""
        read = [known.get(name, values.get(name)) for name in step.reads]
        taken = [_numbers(one) if number in step.numbers else one for number, one in enumerate(read)]
        known.update(zip(step.gives, _several(step.function(*taken)), strict=False))

    def _arguments(self, step: Step, known: Mapping[str, Tensor], device: Any) -> list[Any]:
        found: list[Any] = []
        for number, name in enumerate(step.reads):
            if number in step.numbers and name and name not in known:
                raise UsageError(
                    f"{self._told} {step.told} takes {name!r} from pixels, where a number is needed that "
                    "depends on nothing but the frame's size"
                )
            if number in step.numbers or not name:
                found.append(_numbers(known.get(name)))
            else:
                there = name in known and step.scalars and known[name].dim() == 0
                found.append(known[name] if there else self._on(device, name, known))
        return found

    def _on(self, device: Any, name: str, known: Mapping[str, Tensor]) -> Any:
        """A tensor where the pixels are; the Name of one that depends on them."""
        if name not in known:
            return Name(name)
        if name not in self._known:
            return known[name].to(device)
        if name not in self._there:
            self._there[name] = _as_pictures(known[name].to(device))
        return self._there[name]


def _constant(torch: Torch, tensor: onnx.TensorProto, told: str) -> Tensor:
    try:
        return to_tensor(torch, tensor)
    except UnsupportedError as error:
        raise UsageError(f"{told} its tensor {tensor.name!r} is one it does not take: {error}") from error


def _as_pictures(weights: Tensor) -> Tensor:
    """In memory as torch's channels_last has it, which the pictures that come here are in."""
    if weights.dim() != 4:
        return weights
    return weights.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def _numbers(value: Tensor) -> Any:
    return None if value is None else value.tolist()


def _several(given: Any) -> tuple[Tensor, ...]:
    return tuple(given) if isinstance(given, tuple | list) else (given,)


def _never_read_again(steps: Sequence[Step], gives: Sequence[str]) -> list[list[str]]:
    """For each step the tensors that none after it reads."""
    later, found = set(gives), []
    for step in reversed(steps):
        names = [name for name in dict.fromkeys((*step.reads, *step.gives)) if name and name not in later]
        later.update(names)
        found.append(names)
    return found[::-1]


def _with_ends(calls: Sequence[Call], gives: Sequence[str]) -> tuple[Call, ...]:
    """The calls with what each is the last to read."""
    later, found = set(gives), []
    for call in reversed(calls):
        read = [one.of for one in call.arguments if isinstance(one, Name)]
        done = tuple(name for name in dict.fromkeys((*read, *call.gives)) if name not in later)
        later.update(done)
        found.append(call._replace(done=done))
    return tuple(found[::-1])


def _step(torch: Torch, node: onnx.NodeProto, told: str) -> Step:
    reads, gives = tuple(node.input), tuple(node.output)
    name = f"its node {node.name or gives[0]!r} of the operator {node.op_type}"
    if node.op_type == "Scan" and node.domain in ("", "ai.onnx"):
        return _scan(torch, node, told)
    operator = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if operator is None:
        raise UsageError(
            f"{told} {name} is not known to it; take another backend, or a network that does without"
        )
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    try:
        function = operator.make(Node(torch, attributes, len(gives)))
    except UnsupportedError as error:
        raise UsageError(f"{told} {name} is one it does not take: {error}") from error
    return Step(name, function, reads, gives, operator.numbers, operator.scalars, node.op_type == "Shape")


def _scan(torch: Torch, node: onnx.NodeProto, told: str) -> Step:
    """The node's body for each place of the scanned inputs' first axis, one after another."""
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    body, scanned = Network(torch, attributes["body"], told), attributes["num_scan_inputs"]
    name = f"its node {node.name or node.output[0]!r} of the operator Scan"
    ways = [
        way for key, value in attributes.items() if key.endswith(("_directions", "_axes")) for way in value
    ]
    if any(ways):
        raise UsageError(f"{told} {name} is one it does not take: it goes backwards, or along another axis")
    kept, outer = len(node.input) - scanned, body.outer
    fits: dict[tuple[Any, ...], Fitted] = {}

    def scan(*values: Tensor) -> tuple[Tensor, ...]:
        states, rows = values[:kept], values[kept : kept + scanned]
        made: list[tuple[Tensor, ...]] = []
        for place in range(rows[0].shape[0]):
            fed = (*states, *(row[place] for row in rows), *values[kept + scanned :])
            sizes = tuple(tuple(value.shape) for value in fed)
            if sizes not in fits:
                fits[sizes] = body.fitted(dict(zip((*body.takes, *outer), fed, strict=True)))
            given = fits[sizes](*fed)
            states = given[:kept]
            made.append(given[kept:])
        return (*states, *(torch.stack(rows) for rows in zip(*made, strict=True)))

    return Step(name, scan, (*node.input, *outer), tuple(node.output))
