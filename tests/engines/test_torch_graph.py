"""What of an ONNX graph torch does not run is told with its node; what it runs, the suites of engines show."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
from onnx import helper

from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model
from derain.engines.torch_cuda import TorchEngine


def on_cpu(path: Path) -> TorchEngine:
    return TorchEngine(open_model(path), EngineOptions(precision="fp32"), "cpu")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            helper.make_node("Einsum", ["rainy"], ["restored"], name="sum", equation="a->a"),
            "'sum' of the operator Einsum is not known",
        ),
        (
            helper.make_node("MaxPool", ["rainy"], ["restored"], kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
            "'restored' of the operator MaxPool is one it does not take: its auto_pad is SAME_UPPER",
        ),
        (
            helper.make_node("Identity", ["rainy"], ["restored"], domain="com.example"),
            "of the operator Identity is not known",
        ),
    ],
)
def test_an_operator_it_does_not_know_is_named_with_its_node(tmp_path: Path, node: Any, message: str) -> None:
    model = onnx_models.make([helper.make_node("Identity", ["rainy"], ["restored"])])
    model.graph.node[0].CopyFrom(node)
    path = onnx_models.save(model, tmp_path, onnx_models.CARD)
    with pytest.raises(
        UsageError, match=rf"^torch_cuda can't run the model \S*test\.onnx: its node .*{message}"
    ):
        on_cpu(path)


def test_a_number_made_of_pixels_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["rainy"], ["most"], keepdims=0),
        helper.make_node("Clip", ["rainy", "", "most"], ["restored"]),
    ]
    path = onnx_models.save(onnx_models.make(nodes), tmp_path, onnx_models.CARD)
    with on_cpu(path) as engine, pytest.raises(UsageError, match="operator Clip takes 'most' from pixels"):
        engine.infer(np.zeros((1, 4, 4, 3), np.uint8))
