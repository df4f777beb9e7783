"""A model file read and checked: what a backend compiles."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from derain.engines.card import ModelCard, card_of, load_model
from derain.engines.errors import UsageError

INPUT, OUTPUT, ATTENTION = "rainy", "restored", "attention"
LEAST_OPSET = 13
_CHANNELS = {"RGB": 3, "attention": 1}


@dataclass(frozen=True)
class ModelFile:
    """`graph`: float32 core, `rainy` (N, 3, H, W) RGB in 0..1 -> `restored` of the same shape.

    `attention`: whether it also gives `attention` (N, 1, H, W) in 0..1, where it takes rain to be.
    """

    path: Path
    graph: onnx.ModelProto
    card: ModelCard
    attention: bool = False


def open_model(path: Path) -> ModelFile:
    """Reads the file, its card and its shapes; raises UsageError where it is not a model derain can feed."""
    model = load_model(path)
    card = card_of(model, path)
    inputs, outputs = _inputs(model), list(model.graph.output)
    attention = [end.name for end in outputs] == [OUTPUT, ATTENTION]
    _check_names("input", inputs, [INPUT], f"one input named {INPUT!r}", path)
    taken = f"one output named {OUTPUT!r}, and {ATTENTION!r} after it where there is an attention map"
    _check_names("output", outputs, [OUTPUT, ATTENTION] if attention else [OUTPUT], taken, path)
    _check_end("input", inputs[0], "RGB", path)
    _check_end("output", outputs[0], "RGB", path)
    if attention:
        _check_end("output", outputs[1], "attention", path)
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < LEAST_OPSET:
        raise UsageError(f"the model {path} has ONNX opset {opset}; derain takes {LEAST_OPSET} and later")
    return ModelFile(path, model, card, attention)


def check_attention(model: ModelFile) -> None:
    """Raises UsageError where the model has no attention map to give."""
    if not model.attention:
        raise UsageError(
            f"the model {model.path} gives no attention map; leave out --show-attention (in Python: "
            "attention=True), or give a network that has one, such as spanet or attentive-gan"
        )


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [end for end in model.graph.input if end.name not in weights]


def _check_names(
    kind: str, ends: list[onnx.ValueInfoProto], wanted: list[str], taken: str, path: Path
) -> None:
    names = [end.name for end in ends]
    if names != wanted:
        raise UsageError(
            f"the model {path} has the {kind}s {', '.join(names) or 'none'}; derain takes {taken}"
        )


def _check_end(kind: str, end: onnx.ValueInfoProto, what: str, path: Path) -> None:
    """`what`: of _CHANNELS, what the tensor holds."""
    tensor = end.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        found = TensorProto.DataType.Name(tensor.elem_type)
        raise UsageError(
            f"the model {path} has the {kind} {end.name!r} of dtype {found}; derain takes FLOAT (32 bit)"
        )
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    if sizes != [None, _CHANNELS[what], None, None]:
        found = ", ".join("?" if size is None else str(size) for size in sizes)
        raise UsageError(
            f"the model {path} has the {kind} {end.name!r} of shape ({found}); derain takes "
            f"(?, {_CHANNELS[what]}, ?, ?): batch, {what}, height and width, where ? is dynamic"
        )
