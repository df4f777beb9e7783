"""The networks: the reach that tiling relies on, and an export that equals torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from derain.engines.card import ModelCard, Tiling, write_card
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.registry import open_engine
from derain.train import export
from derain.train.networks.facts import NARROW
from derain.train.networks.network import Restored
from derain.train.networks.realtime import MAPS, MULTIPLE_OF, Realtime, Size
from derain.train.networks.registry import build_network, entry
from derain.train.reach import receptive_radius
from derain.train.recipe import NetworkRecipe

SMALL = Size(channels=(8, 8, 12), encoder=(1, 0, 0), decoder=(1, 0, 1))


@pytest.fixture
def network() -> Realtime:
    torch.manual_seed(0)
    return Realtime(SMALL).eval()


class Convolutions(nn.Module):
    """Two 3x3 convolutions: a radius of two."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=dilation, dilation=dilation)
        )

    def forward(self, rainy: Tensor) -> Restored:
        return Restored(self.body(rainy))


@pytest.mark.parametrize("dilation,radius", [(1, 2), (5, 6), (100, 101)])
def test_reach_of_plain_convolutions_is_their_sum(dilation: int, radius: int) -> None:
    assert receptive_radius(Convolutions(dilation), 1, limit=128) == radius


@pytest.mark.parametrize("name", ["realtime-s", "d-dam"])
def test_the_reach_is_the_same_at_every_width(name: str) -> None:
    row = entry(name)
    narrow, wide = (receptive_radius(row.build(width=width), row.multiple_of) for width in (NARROW, 0.25))
    assert narrow == wide


def test_reach_bounds_what_a_pixel_changes(network: Realtime) -> None:
    radius = receptive_radius(network, MULTIPLE_OF, limit=192)
    assert radius > 40
    rainy = torch.rand(1, 3, 32, 512, generator=torch.Generator().manual_seed(1))
    changed = rainy.clone()
    changed[..., 256] += 0.5
    with torch.no_grad():
        difference = (network(rainy).image - network(changed).image).abs().amax(dim=(0, 1, 2))
    touched = difference.nonzero().flatten()
    assert 256 - int(touched.min()) <= radius and int(touched.max()) - 256 <= radius


def test_export_equals_torch_for_other_sizes_and_batches(network: Realtime) -> None:
    model = export.to_onnx(network, MULTIPLE_OF)
    assert model.opset_import[0].version >= 17
    assert export.parity(network, model, MULTIPLE_OF) <= export.PARITY


def test_the_attention_map_is_a_second_output(network: Realtime) -> None:
    model = export.to_onnx(network, MULTIPLE_OF)
    assert [end.name for end in model.graph.output] == ["restored", "attention"]


def test_an_export_names_no_file_of_this_machine(network: Realtime) -> None:
    content = export.to_onnx(network, MULTIPLE_OF).SerializeToString()
    assert b".py" not in content
    assert str(Path(torch.__file__).parent).encode() not in content


def test_parity_sees_other_weights(network: Realtime) -> None:
    model = export.to_onnx(network, MULTIPLE_OF)
    assert network.correction.bias is not None
    nn.init.constant_(network.correction.bias, 0.3)
    assert export.parity(network, model, MULTIPLE_OF) > export.PARITY


class Fixed(nn.Module):
    """A network whose size is burnt in by a Python number, as an export can do unseen."""

    def forward(self, rainy: Tensor) -> Restored:
        return Restored(rainy[:, :, :64, :96] * 0.5)


class FixedMap(nn.Module):
    """The same of the attention map alone."""

    def forward(self, rainy: Tensor) -> Restored:
        return Restored(rainy, rainy[:, :1, :64, :96])


@pytest.mark.parametrize("network", [Fixed(), FixedMap()])
def test_a_static_export_is_refused(network: nn.Module) -> None:
    with pytest.raises(DerainError, match="static"):
        export.to_onnx(network, MULTIPLE_OF)


def test_exported_network_runs_in_an_engine(network: Realtime, tmp_path: Path) -> None:
    model = export.to_onnx(network, MULTIPLE_OF)
    card = ModelCard("t", "1", ("streaks",), 64, MULTIPLE_OF, Tiling.EXACT, "MIT")
    write_card(model, replace(card, attention=MAPS, attention_scale=4))
    path = tmp_path / "t.onnx"
    onnx.save(model, path)
    rainy = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    with open_engine(path, EngineOptions(backend="onnxruntime")) as engine, torch.no_grad():
        got = engine.infer(rainy)
        planes = torch.from_numpy(rainy.astype(np.float32) / 255).permute(0, 3, 1, 2)
        expected = export.Core(network)(planes)[0].permute(0, 2, 3, 1).numpy() * 255
    assert np.abs(got.astype(np.float32) - expected).max() <= 0.5 + 1e-2


def test_unknown_network_and_wrong_size_are_named() -> None:
    with pytest.raises(UsageError, match=r"name takes eigen2013, .*, realtime-s, .*, not 'unet'"):
        build_network(NetworkRecipe("unet"))
    with pytest.raises(UsageError, match="width"):
        build_network(NetworkRecipe("realtime-s", {"width": [3]}))
