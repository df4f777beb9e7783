"""ONNX operators as torch functions, for `torch_graph`.

A function gets the node's inputs in their order, None for one left out: tensors, but those that its Operator
names as `numbers`, which come as Python's numbers and lists. Where tensors are pictures they lie in memory as
(N, H, W, C), torch's channels_last, and what is made of them here does too.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import onnx
from onnx import numpy_helper

Torch: TypeAlias = Any
"""The package torch, which is imported when an engine is opened, never before."""
Tensor: TypeAlias = Any
"""torch.Tensor."""
Function: TypeAlias = Callable[..., Any]
"""Gives a tensor, or a tuple of them where the node has several outputs."""


class UnsupportedError(Exception):
    """What of a node can't be run."""


class Node(NamedTuple):
    """What a function is made of. `outputs`: how many there are."""

    torch: Torch
    attributes: Mapping[str, Any]
    outputs: int

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        """The attribute, `default` where it is left out."""
        return list(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        """The attribute, `default` where it is left out."""
        return str(self.attributes.get(name, default.encode()).decode())


class Operator(NamedTuple):
    """`make` gives the function of a node. `numbers`: the inputs it takes as numbers.

    `scalars`: tensors of a single number may be on the CPU while the others are on a device: torch hands them
    to its kernel as arguments. Where it does not, it copies them, and no CUDA graph can be captured then.
    """

    make: Callable[[Node], Function]
    numbers: tuple[int, ...] = ()
    scalars: bool = False


DTYPES = {
    "FLOAT8E4M3FN": ("float8_e4m3fn", "uint8"),
    "BFLOAT16": ("bfloat16", "int16"),
    "FLOAT16": ("float16", ""),
    "FLOAT": ("float32", ""),
    "DOUBLE": ("float64", ""),
    **{name: (name.lower(), "") for name in ("UINT8", "UINT16", "INT8", "INT16", "INT32", "INT64", "BOOL")},
}
"""Torch's name for ONNX's types, and an integer type of their size for those that numpy does not have."""


def to_tensor(torch: Torch, tensor: onnx.TensorProto) -> Tensor:
    """An ONNX tensor on the CPU. Raises UnsupportedError for a type that no network here has."""
    dtype, bits = dtype_of(torch, tensor.data_type), DTYPES[_type(tensor.data_type)][1]
    values = numpy_helper.to_array(tensor)
    return torch.from_numpy((values.view(bits) if bits else values).copy()).view(dtype)


def dtype_of(torch: Torch, element: int) -> Any:
    """Torch's dtype of an ONNX element type. Raises UnsupportedError for one that no network here has."""
    if _type(element) not in DTYPES:
        raise UnsupportedError(f"there are values of type {_type(element)}")
    return getattr(torch, DTYPES[_type(element)][0])


def _type(element: int) -> str:
    return str(onnx.TensorProto.DataType.Name(element))


def _plain(name: str, numbers: tuple[int, ...] = ()) -> Operator:
    """torch's function of that name, which takes what the ONNX operator takes."""
    return Operator(lambda node: getattr(node.torch, name), numbers)


def _binary(name: str) -> Operator:
    """torch's function of that name, of two tensors and of each pair of their values."""
    return Operator(lambda node: getattr(node.torch, name), scalars=True)


def _folded(name: str) -> Operator:
    """Of any number of inputs, torch's function of two."""
    return Operator(
        lambda node: lambda *values: functools.reduce(getattr(node.torch, name), values), scalars=True
    )


def _divide(node: Node) -> Function:
    def divide(one: Tensor, other: Tensor) -> Tensor:
        whole = not one.is_floating_point()
        return node.torch.div(one, other, rounding_mode="trunc" if whole else None)

    return divide


def _shape(node: Node) -> Function:
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    return lambda value: node.torch.tensor(list(value.shape)[start:end], dtype=node.torch.int64)


def _clip(node: Node) -> Function:
    def clip(value: Tensor, least: float | None = None, most: float | None = None) -> Tensor:
        return value if least is most is None else node.torch.clamp(value, least, most)

    return clip


def _cast(node: Node) -> Function:
    dtype = dtype_of(node.torch, node.attributes["to"])
    return lambda value: value.to(dtype)


def _concat(node: Node) -> Function:
    axis = node.attributes["axis"]
    return lambda *values: node.torch.cat(values, axis)


def _transpose(node: Node) -> Function:
    order = node.attributes.get("perm")
    return lambda value: value.permute(order or list(range(value.dim()))[::-1])


def _squeeze(node: Node) -> Function:
    return lambda value, axes=None: value.squeeze() if axes is None else value.squeeze(tuple(axes))


def _unsqueeze(node: Node) -> Function:
    def unsqueeze(value: Tensor, axes: list[int]) -> Tensor:
        for axis in sorted(axis % (value.dim() + len(axes)) for axis in axes):
            value = value.unsqueeze(axis)
        return value

    return unsqueeze


def _reshape(node: Node) -> Function:
    copies = not node.attributes.get("allowzero", 0)

    def reshape(value: Tensor, shape: list[int]) -> Tensor:
        return value.reshape(
            [value.shape[n] if copies and not size else size for n, size in enumerate(shape)]
        )

    return reshape


def _expand(node: Node) -> Function:
    return lambda value, shape: value.expand(node.torch.broadcast_shapes(value.shape, shape))


def _slice(node: Node) -> Function:
    def cut(value: Tensor, axis: int, start: int, end: int, step: int) -> Tensor:
        taken = range(value.shape[axis])[start:end:step]
        forth = taken if step > 0 else taken[::-1]
        whole = [slice(None)] * value.dim()
        whole[axis] = slice(forth.start, forth.stop, forth.step)
        return value[tuple(whole)] if step > 0 else value[tuple(whole)].flip(axis)

    def sliced(
        value: Tensor,
        starts: list[int],
        ends: list[int],
        axes: list[int] | None = None,
        steps: list[int] | None = None,
    ) -> Tensor:
        axes = axes or list(range(len(starts)))
        for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(axes), strict=True):
            value = cut(value, axis % value.dim(), start, end, step)
        return value

    return sliced


def _gather(node: Node) -> Function:
    axis = node.attributes.get("axis", 0)

    def gather(value: Tensor, places: int | list[int]) -> Tensor:
        if isinstance(places, int):
            return value.select(axis, places)
        return node.torch.stack([value.select(axis, place) for place in places], axis)

    return gather


def _split(node: Node) -> Function:
    axis = node.attributes.get("axis", 0)

    def split(value: Tensor, sizes: list[int] | None = None) -> tuple[Tensor, ...]:
        return tuple(value.split(sizes or -(-value.shape[axis] // node.outputs), axis))

    return split


def _filled(node: Node) -> Function:
    given = node.attributes.get("value")
    value: Tensor = node.torch.zeros(1) if given is None else to_tensor(node.torch, given)

    def filled(shape: list[int]) -> Tensor:
        return value.expand(shape)

    return filled


def _constant(node: Node) -> Function:
    ((kind, given),) = node.attributes.items()
    value = to_tensor(node.torch, given) if kind == "value" else node.torch.tensor(given)
    return lambda: value


def _pad(node: Node) -> Function:
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    if (asked := node.text("mode", "constant")) not in modes:
        raise UnsupportedError(f"its mode is {asked}")
    mode = modes[asked]

    def pad(
        value: Tensor, pads: list[int], filling: float | None = None, axes: list[int] | None = None
    ) -> Tensor:
        before = [0] * value.dim()
        after = list(before)
        for number, axis in enumerate(axes or range(value.dim())):
            before[axis], after[axis] = pads[number], pads[number + len(pads) // 2]
        sides = [size for pair in zip(before[::-1], after[::-1], strict=True) for size in pair]
        while len(sides) > 4 and sides[-2:] == [0, 0]:
            del sides[-2:]
        return node.torch.nn.functional.pad(value, sides, mode, filling if mode == "constant" else None)

    return pad


def _reduced(name: str) -> Operator:
    """torch's function of that name over axes."""

    def make(node: Node) -> Function:
        keep, fixed = bool(node.attributes.get("keepdims", 1)), node.attributes.get("axes")
        if node.attributes.get("noop_with_empty_axes", 0):
            raise UnsupportedError("its noop_with_empty_axes is 1")

        def reduced(value: Tensor, axes: list[int] | None = None) -> Tensor:
            over = axes or fixed or list(range(value.dim()))
            return getattr(node.torch, name)(value, dim=over, keepdim=keep)

        return reduced

    return Operator(make, (1,))


def _softmax(node: Node) -> Function:
    axis = node.attributes.get("axis", -1)
    return lambda value: node.torch.softmax(value, axis)


def _leaky(node: Node) -> Function:
    slope = node.attributes.get("alpha", 0.01)
    return lambda value: node.torch.nn.functional.leaky_relu(value, slope)


def _quantize(node: Node) -> Function:
    axis, torch = node.attributes.get("axis", 1), node.torch
    _check_blocks(node)

    def quantize(value: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        dtype = torch.uint8 if zero is None else zero.dtype
        scaled = value / _along(scale, value, axis)
        if dtype.is_floating_point:
            limits = torch.finfo(dtype)
            return scaled.clamp(limits.min, limits.max).to(dtype)
        moved = scaled.round() if zero is None else scaled.round() + _along(zero, value, axis)
        limits = torch.iinfo(dtype)
        return moved.clamp(limits.min, limits.max).to(dtype)

    return quantize


def _dequantize(node: Node) -> Function:
    axis = node.attributes.get("axis", 1)
    _check_blocks(node)

    def dequantize(value: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        moved = value.to(scale.dtype)
        if zero is not None:
            moved = moved - _along(zero, value, axis).to(scale.dtype)
        return moved * _along(scale, value, axis)

    return dequantize


def _check_blocks(node: Node) -> None:
    if size := node.attributes.get("block_size", 0):
        raise UnsupportedError(f"its block_size is {size}")


def _along(factors: Tensor, value: Tensor, axis: int) -> Tensor:
    """`factors`, one or one for each place of `axis`, so that they can be multiplied with `value`."""
    if factors.dim() == 0:
        return factors
    shape = [1] * value.dim()
    shape[axis] = -1
    return factors.reshape(shape)


TENSORS: Mapping[str, Operator] = {
    **{name: _plain(name.lower()) for name in ("Relu", "Sigmoid", "Tanh", "Abs", "Exp", "Log", "Sqrt")},
    **{name: _plain(name.lower()) for name in ("Floor", "Ceil", "Round", "Neg", "Reciprocal", "Where")},
    **{
        "Pow": _binary("pow"),
        "MatMul": _plain("matmul"),
        "Identity": Operator(lambda _: lambda value: value),
    },
    **{
        "Add": _binary("add"),
        "Sub": _binary("sub"),
        "Mul": _binary("mul"),
        "Div": Operator(_divide, scalars=True),
    },
    **{"Equal": _binary("eq"), "Greater": _binary("gt"), "Less": _binary("lt"), "Not": _plain("logical_not")},
    **{"GreaterOrEqual": _binary("ge"), "LessOrEqual": _binary("le")},
    **{"And": _binary("logical_and"), "Or": _binary("logical_or")},
    **{"Max": _folded("maximum"), "Min": _folded("minimum"), "Sum": _folded("add")},
    **{"Clip": Operator(_clip, (1, 2)), "Cast": Operator(_cast), "LeakyRelu": Operator(_leaky)},
    **{"ReduceMax": _reduced("amax"), "ReduceMin": _reduced("amin"), "ReduceMean": _reduced("mean")},
    **{"ReduceSum": _reduced("sum"), "Softmax": Operator(_softmax)},
    **{"Shape": Operator(_shape), "Range": _plain("arange", (0, 1, 2))},
    **{"Constant": Operator(_constant)},
    **{"ConstantOfShape": Operator(_filled, (0,)), "Expand": Operator(_expand, (1,))},
    **{"Reshape": Operator(_reshape, (1,)), "Transpose": Operator(_transpose)},
    **{"Squeeze": Operator(_squeeze, (1,)), "Unsqueeze": Operator(_unsqueeze, (1,))},
    **{"Concat": Operator(_concat), "Split": Operator(_split, (1,)), "Gather": Operator(_gather, (1,))},
    **{"Slice": Operator(_slice, (1, 2, 3, 4)), "Pad": Operator(_pad, (1, 2, 3))},
    **{
        "QuantizeLinear": Operator(_quantize, scalars=True),
        "DequantizeLinear": Operator(_dequantize, scalars=True),
    },
}
"""Those of tensors of any kind, by ONNX's names; `torch_pictures.PICTURES` has those of pictures."""
