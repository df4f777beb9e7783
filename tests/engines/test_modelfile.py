"""Models whose ends are not what derain feeds are refused by name, shape or dtype before any work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_models
import pytest
from onnx import TensorProto, helper

from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model


def ends(**wanted: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        taken, given = wanted.get("names", ("rainy", "restored"))
        model = onnx_models.make([helper.make_node("Identity", [taken], [given])], **wanted)
        return onnx_models.save(model, folder, onnx_models.CARD)

    return write


def two_inputs(folder: Path) -> Path:
    model = onnx_models.make([helper.make_node("Identity", ["rainy"], ["restored"])])
    model.graph.input.append(helper.make_tensor_value_info("before", TensorProto.FLOAT, ["N", 3, "H", "W"]))
    return onnx_models.save(model, folder, onnx_models.CARD)


def old_opset(folder: Path) -> Path:
    model = onnx_models.make([helper.make_node("Identity", ["rainy"], ["restored"])])
    model.opset_import[0].version = 9
    return onnx_models.save(model, folder, onnx_models.CARD)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            onnx_models.wrong_shape,
            r"input 'rainy' of shape \(\?, 1, \?, \?\); derain takes \(\?, 3, \?, \?\)",
        ),
        (ends(shape=("N", "H", "W", 3)), r"input 'rainy' of shape \(\?, \?, \?, 3\)"),
        (ends(shape=(1, 3, 64, 64)), r"of shape \(1, 3, 64, 64\); .* where \? is dynamic"),
        (ends(shape=("N", 3, "H")), r"of shape \(\?, 3, \?\)"),
        (ends(dtype=TensorProto.FLOAT16), "input 'rainy' of dtype FLOAT16; derain takes FLOAT"),
        (ends(names=("image", "restored")), "has the inputs image; derain takes one input named 'rainy'"),
        (ends(names=("rainy", "clean")), "has the outputs clean; derain takes one output named 'restored'"),
        (two_inputs, "has the inputs rainy, before; derain takes one"),
        (old_opset, "has ONNX opset 9; derain takes 13 and later"),
    ],
)
def test_other_ends_are_refused(tmp_path: Path, write: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_model(write(tmp_path))


def test_a_good_file_is_taken(tmp_path: Path) -> None:
    path = onnx_models.unshuffle(tmp_path)
    model = open_model(path)
    assert (model.path, model.card.name, model.card.multiple_of) == (path, "unshuffle", 2)
