"""ONNX operators of pictures (N, C, H, W) as torch functions: convolutions, pooling, other sizes."""

from collections.abc import Mapping
from typing import Any

from derain.engines.torch_operators import Function, Node, Operator, Tensor, UnsupportedError

NEAREST = ("nearest", "asymmetric", "floor")
LINEAR = ("linear", "half_pixel")
"""Of Resize, what torch does alike at every size."""


def _convolve(node: Node) -> Function:
    same, before = _pads(node)
    ways = {"stride": node.ints("strides", (1, 1)), "dilation": node.ints("dilations", (1, 1))}
    functional, groups = node.torch.nn.functional, node.attributes.get("group", 1)

    def convolve(value: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        value = functional.pad(value, before) if before else value
        return functional.conv2d(value, weight, bias, padding=same, groups=groups, **ways)

    return convolve


def _convolve_back(node: Node) -> Function:
    same, before = _pads(node)
    if before or "output_shape" in node.attributes:
        raise UnsupportedError("its padding differs from side to side")
    ways = {"stride": node.ints("strides", (1, 1)), "dilation": node.ints("dilations", (1, 1))}
    ways["output_padding"] = node.ints("output_padding", (0, 0))
    functional, groups = node.torch.nn.functional, node.attributes.get("group", 1)

    def convolve(value: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.conv_transpose2d(value, weight, bias, padding=same, groups=groups, **ways)

    return convolve


def _pads(node: Node) -> tuple[list[int], list[int]]:
    """Padding that is the same on both sides, and what is to be padded before where it is not."""
    if (automatic := node.text("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        raise UnsupportedError(f"its auto_pad is {automatic}")
    if node.attributes.get("ceil_mode", 0):
        raise UnsupportedError("its ceil_mode is 1")
    pads = node.ints("pads", (0, 0, 0, 0))
    if len(pads) != 4 or len(node.ints("kernel_shape", (1, 1))) != 2:
        raise UnsupportedError("it is not of pictures")
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return [top, left], []
    return [0, 0], [left, right, top, bottom]


def _largest(node: Node) -> Function:
    same, before = _pads(node)
    side, steps = node.ints("kernel_shape", ()), node.ints("strides", (1, 1))
    if before or node.outputs > 1:
        raise UnsupportedError("its padding differs from side to side, or it has two outputs")
    apart = node.ints("dilations", (1, 1))
    return lambda value: node.torch.nn.functional.max_pool2d(value, side, steps, same, apart)


def _average(node: Node) -> Function:
    same, before = _pads(node)
    side, steps = node.ints("kernel_shape", ()), node.ints("strides", (1, 1))
    if before or node.ints("dilations", (1, 1)) != [1, 1]:
        raise UnsupportedError("its padding differs from side to side, or it has dilations")
    counted = bool(node.attributes.get("count_include_pad", 0))
    pool = node.torch.nn.functional.avg_pool2d
    return lambda value: pool(value, side, steps, same, count_include_pad=counted)


def _mean(node: Node) -> Function:
    return lambda value: value.mean((2, 3), keepdim=True)


def _normalise(node: Node) -> Function:
    if node.outputs > 1:
        raise UnsupportedError("it trains")
    epsilon, norm = node.attributes.get("epsilon", 1e-5), node.torch.nn.functional.batch_norm

    def normalise(value: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return norm(value, mean, variance, scale, bias, eps=epsilon)

    return normalise


def _resize(node: Node) -> Function:
    mode, placed = node.text("mode", "nearest"), node.text("coordinate_transformation_mode", "half_pixel")
    exact = (mode, placed, node.text("nearest_mode", "round_prefer_floor")) == NEAREST
    if not (exact or (mode, placed) == LINEAR) or node.attributes.get("antialias", 0):
        raise UnsupportedError(f"its mode is {mode}, {placed}")
    ways: dict[str, Any] = {"mode": "nearest"} if exact else {"mode": "bilinear", "align_corners": False}
    enlarge = node.torch.nn.functional.interpolate

    def resize(
        value: Tensor,
        region: list[float] | None = None,
        scales: list[float] | None = None,
        sizes: list[int] | None = None,
    ) -> Tensor:
        if sizes:
            return enlarge(value, size=sizes[2:], **ways)
        assert scales, "ONNX's checker asks for one of them"
        return enlarge(value, scale_factor=scales[2:], **ways)

    return resize


def _to_space(node: Node) -> Function:
    """By way of (N, H, W, C), so that the values are moved once."""
    side, rows_first = node.attributes["blocksize"], node.text("mode", "DCR") == "DCR"

    def to_space(value: Tensor) -> Tensor:
        count, channels, height, width = value.shape
        left = channels // side**2
        cells = (side, side, left) if rows_first else (left, side, side)
        parts = value.permute(0, 2, 3, 1).reshape(count, height, width, *cells)
        order = (0, 1, 3, 2, 4, 5) if rows_first else (0, 1, 4, 2, 5, 3)
        return parts.permute(order).reshape(count, height * side, width * side, left).permute(0, 3, 1, 2)

    return to_space


def _to_depth(node: Node) -> Function:
    side = node.attributes["blocksize"]
    if node.text("mode", "DCR") != "DCR":
        raise UnsupportedError(f"its mode is {node.text('mode', 'DCR')}")

    def to_depth(value: Tensor) -> Tensor:
        count, channels, height, width = value.shape
        parts = value.permute(0, 2, 3, 1).reshape(count, height // side, side, width // side, side, channels)
        whole = parts.permute(0, 1, 3, 2, 4, 5).reshape(
            count, height // side, width // side, channels * side**2
        )
        return whole.permute(0, 3, 1, 2)

    return to_depth


PICTURES: Mapping[str, Operator] = {
    **{"Conv": Operator(_convolve), "ConvTranspose": Operator(_convolve_back)},
    **{"MaxPool": Operator(_largest), "AveragePool": Operator(_average)},
    **{"GlobalAveragePool": Operator(_mean), "BatchNormalization": Operator(_normalise)},
    **{"Resize": Operator(_resize, (1, 2, 3))},
    **{"DepthToSpace": Operator(_to_space), "SpaceToDepth": Operator(_to_depth)},
}
