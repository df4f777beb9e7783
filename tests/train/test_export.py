"""Every network from a checkpoint to `derain video`: its card, both its outputs, whole frames and tiles."""

from pathlib import Path

import av
import clips
import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from derain.engines.card import ModelCard, Tiling, read_card
from derain.engines.engine import EngineOptions
from derain.engines.modelfile import ATTENTION, open_model
from derain.engines.registry import open_engine
from derain.engines.torch_cuda import TorchEngine
from derain.pipeline.cli import run
from derain.pipeline.tiling import smallest_tile
from derain.train.checkpoint import State, averaged, save
from derain.train.export import Core, load_checkpoint
from derain.train.networks.facts import facts
from derain.train.networks.network import Entry
from derain.train.networks.realtime import Memory
from derain.train.networks.recurrent import no_memory
from derain.train.networks.registry import NETWORKS, build_discriminator, build_network, entry
from derain.train.recipe import load_recipe

WIDTH = 0.1
ONE_A_FAMILY = ("eigen2013", "attentive-gan", "spanet-ba", "pix2pix", "dam", "realtime-s")
Picture = npt.NDArray[np.int64]


def named(names: list[str]) -> list[object]:
    """The networks, those whose family another one stands for marked slow."""
    return [
        pytest.param(name, marks=() if name in ONE_A_FAMILY else pytest.mark.slow, id=name) for name in names
    ]


def written(name: str, folder: Path, *changes: str) -> Path:
    """A checkpoint of the network's small recipe, still narrower, at its first step."""
    torch.manual_seed(0)
    recipe = load_recipe(f"{name}-small", [f"network.width={WIDTH}", *changes])
    network, judge = build_network(recipe.network), build_discriminator(recipe.network)
    state = State(lively(network), averaged(network), torch.optim.AdamW(network.parameters()), judge)
    if judge is not None:
        state.judge_optimiser = torch.optim.AdamW(judge.parameters())
    save(state, recipe, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def lively(network: nn.Module) -> nn.Module:
    """Weights by which each layer passes on about as much as it gets, so that a seam would be seen; a memory
    little of it, or it would grow from frame to frame."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="leaky_relu")
    for layer in network.modules():
        if isinstance(layer, Memory):
            nn.init.normal_(layer.recall.weight, std=1e-3)
    return network


def clip(card: ModelCard, folder: Path) -> tuple[Path, int]:
    """Two frames that are cut in two along their width by the tile that is returned too."""
    tile = smallest_tile(card.halo, card.multiple_of)
    width = tile + card.multiple_of + 2
    rainy = clips.Clip(times=(0, 1), width=width + width % 2, codec="ffv1", pixel_format="bgr0")
    return rainy.write(folder / "rainy.mkv"), tile


def video(folder: Path, output: str, *options: str) -> int:
    """`derain video rainy.mkv OUTPUT --model network.onnx OPTIONS`."""
    files = [str(folder / name) for name in ("rainy.mkv", output, "network.onnx")]
    line = ["video", *files[:2], "--model", files[2], "--codec", "ffv1", "--backend", "onnxruntime"]
    return run([*line, *options])


def pictures(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", named([row.name for row in NETWORKS]))
def test_a_checkpoint_becomes_a_model_that_restores_video(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, model = written(name, tmp_path), tmp_path / "network.onnx"
    assert run(["export", str(checkpoint), str(model)]) == 0
    assert "Skipping" not in "".join(capsys.readouterr()), "torch's exporter is quiet"
    check_card(read_card(model), entry(name))
    check_outputs(checkpoint, model)
    check_video(tmp_path, capsys)


def test_branches_are_folded_and_the_card_has_the_scale_of_the_maps(tmp_path: Path) -> None:
    shape = "network.size={{channels=[32, 48], encoder=[0, 1], decoder=[1, 1], cell=8, block='{}'}}".format
    checkpoint, model = written("realtime-s", tmp_path, shape("branched")), tmp_path / "network.onnx"
    assert run(["export", str(checkpoint), str(model)]) == 0
    assert read_card(model).attention_scale == 8
    check_outputs(checkpoint, model)
    plain = build_network(load_recipe("realtime-s-small", [shape("plain")]).network)
    convolved = [node for node in onnx.load_model(model).graph.node if node.op_type == "Conv"]
    assert len(convolved) == sum(isinstance(layer, nn.Conv2d) for layer in plain.modules())


def check_card(card: ModelCard, row: Entry) -> None:
    """What the engines need to know, of the network itself."""
    assert card.name == f"{row.name}-small"
    assert (card.tiling, card.multiple_of) == (row.tiling, row.multiple_of)
    assert (card.halo == 0) == (row.tiling is Tiling.WHOLE_FRAME)
    gives_maps = facts(row).attention
    assert card.attention == (row.maps if gives_maps else ())


def check_outputs(checkpoint: Path, model: Path) -> None:
    """An engine gives the network's picture, and its attention map where it has one, to half a grey level.

    And it has the network's weights, not those of its judge.
    """
    graph = onnx.load_model(model)
    names = [end.name for end in graph.graph.output]
    attention = ATTENTION in names
    side = 2 * read_card(model).multiple_of
    rainy = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    planes = torch.from_numpy(rainy.astype(np.float32) / 255).permute(0, 3, 1, 2)
    with open_engine(model, EngineOptions(backend="onnxruntime", attention=attention)) as engine:
        zeros = [np.zeros(state.shape(1, side, side), np.float32) for state in engine.states]
        got = engine.infer(rainy, states=[(state, state.copy()) for state in zeros])
    network = load_checkpoint(checkpoint).network
    with torch.no_grad():
        outputs = Core(network)(planes, *no_memory(network, planes))
    assert len(outputs) == len(names)
    assert all(one.shape[3] * read_card(model).attention_scale == side for one in outputs[1 : 1 + attention])
    full = [functional.interpolate(one, (side, side), mode="nearest") for one in outputs[: 1 + attention]]
    expected = torch.cat(full, 1).permute(0, 2, 3, 1).numpy() * 255
    assert np.abs(got.astype(np.float32) - expected).max() <= 0.5 + 0.05
    options = EngineOptions(precision="fp32", attention=attention)
    with TorchEngine(open_model(model), options, "cpu") as engine:
        restored = engine.infer(rainy, states=[(state, state.copy()) for state in zeros])
    assert np.abs(restored.astype(int) - got).max() <= 1, "torch runs the file as ONNX Runtime does"
    constants = 600
    stored = sum(int(np.prod(tensor.dims)) for tensor in graph.graph.initializer)
    assert stored <= sum(tensor.numel() for tensor in network.state_dict().values()) + constants


def check_video(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tiles equal the whole frame, or are refused."""
    card = read_card(folder / "network.onnx")
    rainy, tile = clip(card, folder)
    assert video(folder, "whole.mkv", "--tile", "none") == 0
    whole = pictures(folder / "whole.mkv")
    assert len(whole) == 2 and any(np.ptp(picture) > 8 for picture in whole)
    assert not np.array_equal(whole, pictures(rainy))
    capsys.readouterr()
    if card.tiling is Tiling.WHOLE_FRAME:
        assert video(folder, "tiled.mkv", "--tile", "64") == 2
        assert "restores whole frames only, not tiles of 64" in capsys.readouterr().err
    else:
        assert video(folder, "tiled.mkv", "--tile", str(tile)) == 0
        assert np.abs(np.subtract(whole, pictures(folder / "tiled.mkv"))).max() <= 1
