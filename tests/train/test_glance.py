"""The network that only looks for rain: it costs next to nothing, and learns where rain is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import here, photographs, small

from derain.engines.card import read_card
from derain.engines.engine import EngineOptions
from derain.engines.registry import open_engine
from derain.pipeline.cli import run
from derain.pipeline.glance import Glance
from derain.train.export import load_checkpoint
from derain.train.losses.glance import cells_loss
from derain.train.networks import glance as networks
from derain.train.networks.facts import facts
from derain.train.networks.glance import CELL
from derain.train.networks.registry import entry
from derain.train.trainer import train


def test_it_costs_a_fifth_of_a_kmac_a_pixel_and_looks_around_its_cells() -> None:
    found = facts(entry("glance"))
    assert found.kmac < 0.2 and found.attention
    assert CELL < found.radius < 3 * CELL  # type: ignore[operator]


def test_the_picture_is_what_came_and_the_map_has_a_value_a_cell() -> None:
    rainy = torch.rand(2, 3, 64, 96)
    restored = networks.Glance()(rainy)
    assert torch.equal(restored.image, rainy)
    assert restored.attention is not None and restored.attention.shape == (2, 1, 2, 3)


def test_a_cell_counts_as_rainy_as_its_rainiest_pixel_and_missing_rain_counts_more() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 40, 10] = 1
    right = torch.full((1, 1, 2, 2), -9.0)
    right[..., 1, 0] = 9
    assert cells_loss(right, mask, 4) < 1e-3
    missed, alarmed = right.clone(), right.clone()
    missed[..., 1, 0], alarmed[..., 0, 1] = -9, 9
    assert cells_loss(missed, mask, 4) == pytest.approx(4 * float(cells_loss(alarmed, mask, 4)), rel=1e-3)


def test_it_trains_and_becomes_a_model_file_that_says_what_is_dry(tmp_path: Path) -> None:
    recipe = small("glance-small", steps=3)
    train(recipe, here(photographs(tmp_path / "data"), tmp_path / "run"))
    (tmp_path / "dry.json").write_text('{"dry_below": 0.57}')
    checkpoint, model = tmp_path / "run" / "checkpoint.pt", tmp_path / "glance.onnx"
    line = ["export", checkpoint, model, "--name", "glance", "--dryness", tmp_path / "dry.json"]
    assert run([str(word) for word in line]) == 0
    card = read_card(model)
    assert (card.attention, card.attention_scale, card.multiple_of, card.removes) == (("rain",), 32, 32, ())
    assert card.dry_below == 0.57 and card.halo == facts(entry("glance")).radius
    rainy = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    with open_engine(model, EngineOptions("onnxruntime", scores=True)) as engine:
        network, small_frame = Glance(engine), torch.from_numpy(rainy[:64, :64]).permute(2, 0, 1)[None] / 255
        assert network(rainy).shape == (3, 3)
        with torch.no_grad():
            expected = load_checkpoint(checkpoint).network(small_frame).attention
        assert np.allclose(network(rainy[:64, :64].copy()), expected[0, 0], atol=1e-3)
