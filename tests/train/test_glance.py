"""The network that only looks for rain: it costs next to nothing, and learns where rain is."""

from pathlib import Path

import pytest
import torch
from tiny_runs import here, photographs, small

from derain.train.checkpoint import read
from derain.train.export import load_checkpoint
from derain.train.losses.glance import cells_loss
from derain.train.networks.facts import facts
from derain.train.networks.glance import CELL, Glance
from derain.train.networks.registry import entry
from derain.train.trainer import train


def test_it_costs_a_fifth_of_a_kmac_a_pixel_and_looks_around_its_cells() -> None:
    found = facts(entry("glance"))
    assert found.kmac < 0.2 and found.attention
    assert CELL < found.radius < 3 * CELL  # type: ignore[operator]


def test_the_picture_is_what_came_and_the_map_has_a_value_a_cell() -> None:
    rainy = torch.rand(2, 3, 64, 96)
    restored = Glance()(rainy)
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


def test_it_trains_and_its_checkpoint_comes_back(tmp_path: Path) -> None:
    recipe = small("glance-small", steps=3)
    train(recipe, here(photographs(tmp_path / "data"), tmp_path / "run"))
    network = load_checkpoint(tmp_path / "run" / "checkpoint.pt").network
    assert isinstance(network, Glance) and read(tmp_path / "run" / "checkpoint.pt")["step"] == 3
