"""The sheet of samples: rows with captions, and a discriminator that is not disturbed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_runs import here, photographs, small, tiny
from torch import Tensor, nn

from derain.train.checkpoint import State
from derain.train.networks.network import Restored
from derain.train.patches import Batch, RainyPatches
from derain.train.preview import CAPTION, COLUMNS, captioned, rows, save_samples, write_rgb
from derain.train.recipe import Recipe
from derain.train.trainer import fresh_state, training_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("data"))


def begun(recipe: Recipe, data: Path, patches: int = 2) -> tuple[State, Batch]:
    """A run before its first step, and a batch."""
    recipe = replace(recipe, train=replace(recipe.train, batch=patches))
    return fresh_state(recipe, here(data, data)), next(
        iter(RainyPatches(training_photos(recipe, data), recipe))
    )


def test_rows_are_those_the_network_has(data: Path) -> None:
    shown = list(rows(*begun(small("glance-small"), data)))
    assert shown == ["rainy", "restored", "clean", "mask", "attention"]
    assert list(rows(*begun(small("pix2pix-small"), data))) == [
        "rainy", "restored", "clean", "mask", "discriminator",
    ]  # fmt: skip


class TwoMaps(nn.Module):
    """Leaves the picture, and sees drops in its left cells and streaks in those at the top."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, rainy: Tensor) -> Restored:
        drops, streaks = torch.zeros(2, len(rainy), 8, 8)
        drops[:, :, :4] = streaks[:, :4] = 1
        return Restored(rainy, torch.stack([drops, streaks], 1))


def test_each_of_several_maps_has_a_row_in_the_size_of_the_pictures(data: Path) -> None:
    state, batch = begun(tiny(), data)
    shown = rows(replace(state, average=TwoMaps()), batch, ("drops", "streaks"))
    assert list(shown) == ["rainy", "restored", "clean", "mask", "drops", "streaks"]
    wide = torch.zeros(2, 1, 32, 32)
    wide[..., :16] = 1
    assert torch.equal(shown["drops"], wide)
    assert torch.equal(shown["streaks"], wide.transpose(2, 3))


def test_the_sheet_holds_the_pictures_beside_their_captions(data: Path, tmp_path: Path) -> None:
    state, batch = begun(tiny(), data)
    save_samples(state, batch, tmp_path / "samples.png")
    sheet = cv2.imread(str(tmp_path / "samples.png"), cv2.IMREAD_COLOR_RGB)
    assert sheet is not None and sheet.shape == (5 * 32, CAPTION + 2 * 32, 3)
    second = sheet[2 * 32 : 3 * 32, CAPTION + 32 :]
    expected = batch.clean[1].permute(1, 2, 0).numpy() * 255
    assert np.abs(second - expected).max() <= 0.51


def test_each_caption_is_black_on_white_and_fits() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    for caption in ("rainy", "discriminator"):
        margin = captioned(pixels, caption)[:, :CAPTION]
        assert margin.min() < 60
        assert (margin[:, -1] == 255).all() and (margin[[0, -1]] == 255).all()


def test_of_a_large_batch_the_first_are_shown(data: Path, tmp_path: Path) -> None:
    state, batch = begun(tiny(), data, patches=COLUMNS + 3)
    save_samples(state, batch, tmp_path / "samples.png")
    sheet = cv2.imread(str(tmp_path / "samples.png"))
    assert sheet is not None and sheet.shape[1] == CAPTION + COLUMNS * 32


def test_looking_at_a_discriminator_changes_nothing_of_it(data: Path, tmp_path: Path) -> None:
    """A run that saves samples more often must not learn something else."""
    state, batch = begun(small("pix2pix-small"), data)
    assert state.judge is not None
    kept = {name: value.clone() for name, value in state.judge.state_dict().items()}
    save_samples(state, batch, tmp_path / "samples.png")
    assert state.judge.training
    assert all(torch.equal(kept[name], value) for name, value in state.judge.state_dict().items())


def test_a_picture_that_can_not_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "samples.png"
    write_rgb(path, np.zeros((4, 4, 3), np.uint8))
    before = path.read_bytes()
    (tmp_path / ".samples.png.tmp").mkdir()
    with pytest.raises(OSError):
        write_rgb(path, np.ones((4, 4, 3), np.uint8))
    assert path.read_bytes() == before
