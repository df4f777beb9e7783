"""The score of a frame: rain in it shows, however small, and an odd cell does not."""

from dataclasses import replace

import numpy as np
import pytest
from onnx_models import CARD

from derain.pipeline.rain import core_of, is_dry, score_of
from derain.pipeline.tiling import TilePlan


def test_a_frame_of_one_score_has_that_score() -> None:
    for scale in (1, 4, 32):
        assert score_of(np.full((90, 160), 0.4, np.float32), scale) == pytest.approx(0.4)


def test_a_drop_is_rain_and_an_odd_cell_is_not() -> None:
    """Of 1280x720 pixels in cells of 4x4."""
    scores = np.full((180, 320), 0.01, np.float32)
    scores[90, 100] = 0.9
    assert is_dry(score_of(scores, 4), CARD)
    scores[90:93, 100:103] = 0.9
    assert not is_dry(score_of(scores, 4), CARD)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (23, 40)])
def test_of_a_few_cells_one_counts(shape: tuple[int, int]) -> None:
    scores = np.zeros(shape, np.float32)
    scores[-1, -1] = 0.5
    assert score_of(scores, 32) == 0.5


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (48, 64)])
def test_a_map_as_fine_as_the_frame_is_read_in_cells_of_four_pixels(shape: tuple[int, int]) -> None:
    scores = np.zeros(shape, np.float32)
    scores[:4, :4] = 0.8
    assert 0.3 < score_of(scores, 1) < 0.81


def test_what_is_no_number_is_not_dry() -> None:
    scores = np.zeros((20, 20), np.float32)
    scores[3, 3] = np.nan
    assert not is_dry(score_of(scores, 4), CARD)


def test_the_card_says_what_is_dry() -> None:
    assert is_dry(0.5, replace(CARD, dry_below=0.6)) and not is_dry(0.6, replace(CARD, dry_below=0.6))


def test_the_cells_of_a_tile_cover_its_core() -> None:
    plan = TilePlan.make(90, 130, halo=5, multiple_of=2, tile=(40, 40))
    cells = np.arange(-(-90 // 32) * -(-130 // 32), dtype=np.float32).reshape(3, 5)
    for tile in plan.tiles:
        high, wide = np.mgrid[tile.core] // 32
        assert np.array_equal(np.unique(core_of(cells, 32, tile)), np.unique(cells[high, wide]))
        grown = core_of(cells, 32, tile, 1)
        assert grown.size >= min(cells.size, np.unique(cells[high, wide]).size + 1)
