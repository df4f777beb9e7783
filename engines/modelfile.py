"""A model file read and checked: what a backend compiles."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from derain.engines.card import ModelCard, card_of, load_model
from derain.engines.errors import UsageError

INPUT, OUTPUT = "rainy", "restored"
LEAST_OPSET = 13


@dataclass(frozen=True)
class ModelFile:
    """`graph`: float32 core, `rainy` (N, 3, H, W) RGB in 0..1 -> `restored` of the same shape."""

    path: Path
    graph: onnx.ModelProto
    card: ModelCard


def open_model(path: Path) -> ModelFile:
    """Reads the file, its card and its shapes; raises UsageError where it is not a model derain can feed."""
    model = load_model(path)
    card = card_of(model, path)
    _check_end("input", INPUT, _inputs(model), path)
    _check_end("output", OUTPUT, list(model.graph.output), path)
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < LEAST_OPSET:
        raise UsageError(f"the model {path} has ONNX opset {opset}; derain takes {LEAST_OPSET} and later")
    return ModelFile(path, model, card)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [end for end in model.graph.input if end.name not in weights]


def _check_end(kind: str, name: str, ends: list[onnx.ValueInfoProto], path: Path) -> None:
    names = [end.name for end in ends]
    if names != [name]:
        raise UsageError(
            f"the model {path} has the {kind}s {', '.join(names) or 'none'}; "
            f"derain takes one {kind} named {name!r}"
        )
    tensor = ends[0].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        found = TensorProto.DataType.Name(tensor.elem_type)
        raise UsageError(
            f"the model {path} has the {kind} {name!r} of dtype {found}; derain takes FLOAT (32 bit)"
        )
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    if sizes != [None, 3, None, None]:
        found = ", ".join("?" if size is None else str(size) for size in sizes)
        raise UsageError(
            f"the model {path} has the {kind} {name!r} of shape ({found}); "
            "derain takes (?, 3, ?, ?): batch, RGB, height and width, where ? is dynamic"
        )
