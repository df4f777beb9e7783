"""What of an ONNX graph torch does not run, and where it computes; the rest the suites of engines show."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
import torch
from onnx import helper, numpy_helper

from derain.engines import models
from derain.engines.edges import with_pixel_edges
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.halves import KINDS, to_half
from derain.engines.modelfile import open_model
from derain.engines.torch_cuda import TorchEngine
from derain.engines.torch_graph import Network


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


def test_a_single_number_is_copied_to_a_device_before_all_calls(tmp_path: Path) -> None:
    """Or handed to a kernel; a copy in the midst of a graph that is captured would be an error."""
    one = numpy_helper.from_array(np.array(1, np.float32), "one")
    nodes = [
        helper.make_node("Greater", ["rainy", "one"], ["much"]),
        helper.make_node("Where", ["much", "one", "rainy"], ["restored"]),
    ]
    network = Network(torch, onnx_models.make(nodes, [one]).graph, "it")
    compared, chosen = network.fitted({"rainy": torch.empty(1, 3, 4, 4, device="meta")}).calls
    assert [str(tensor.device) for tensor in compared.arguments[1:]] == ["cpu"]
    assert [str(tensor.device) for tensor in chosen.arguments[1:2]] == ["meta"]


@pytest.mark.parametrize("name", [path.stem for path in models.shipped()])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_nothing_is_mixed_that_lies_in_different_places(name: str, precision: str) -> None:
    """torch's device "meta" has shapes and no values, and takes from the CPU what a GPU would take."""
    model = open_model(models.find(name))
    maps = model.attention
    options = EngineOptions(attention=maps, scores=maps, keep=model.card.attention[:1])
    graph = with_pixel_edges(model, options)
    graph = to_half(graph, precision) if precision in KINDS else graph
    network = Network(torch, graph.graph, "it")
    shapes = [(1, 64, 64, 3), *(state.shape(1, 64, 64) for state in model.states)]
    dtypes = [torch.uint8, *(torch.float32 for _ in model.states)]
    fed = [
        torch.empty(shape, dtype=dtype, device="meta") for shape, dtype in zip(shapes, dtypes, strict=True)
    ]
    given = network.fitted(dict(zip(network.takes, fed, strict=True)))(*fed)
    assert {str(tensor.device) for tensor in given} == {"meta"}
    assert tuple(given[0].shape) == (1, 64, 64, 3 + len(model.card.attention) * maps)
