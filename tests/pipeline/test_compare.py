"""Pictures of rainy and restored in one, and of what was removed."""

from typing import Any

import numpy as np
import pytest

from derain.pipeline.compare import (
    altered,
    altered_picture,
    compare,
    compare_displayed,
    rain_layer,
    side_size,
)


def test_side_puts_rainy_left_and_restored_right() -> None:
    rainy, restored = np.full((4, 6, 3), 10, np.uint8), np.full((4, 6, 3), 20, np.uint8)
    picture = compare(rainy, restored, "side")
    assert picture.shape == (4, 12, 3)
    assert (picture[:, :6] == 10).all() and (picture[:, 6:] == 20).all()


@pytest.mark.parametrize("width", [1, 2, 40, 41])
def test_split_is_one_picture_of_two_halves(width: int) -> None:
    rainy, restored = np.full((4, width, 3), 10, np.uint8), np.full((4, width, 3), 20, np.uint8)
    picture = compare(rainy, restored, "split")
    assert picture.shape == (4, width, 3)
    middle = width // 2
    assert (picture[:, : max(middle - 1, 0)] == 10).all() and (picture[:, middle + 1 :] == 20).all()
    assert ((picture == 255).any()) == (width > 16)
    assert (restored == 20).all()


@pytest.mark.parametrize(("dtype", "middle"), [(np.uint8, 128), (np.uint16, 32768)])
def test_the_rain_layer_is_grey_where_nothing_was_removed(dtype: Any, middle: int) -> None:
    rainy = np.array([[[50, 60, 255]]], dtype)
    restored = np.array([[[50, 40, 0]]], dtype)
    layer = rain_layer(rainy, restored)
    assert layer.dtype == dtype
    assert layer.tolist() == [[[middle, middle + 20, min(middle + 255, np.iinfo(dtype).max)]]]


@pytest.mark.parametrize("rotation", [0, 90, -90, 180])
@pytest.mark.parametrize("comparison", ["side", "split"])
def test_rainy_is_left_as_shown_on_a_turned_video(rotation: int, comparison: Any) -> None:
    rainy, restored = np.full((20, 40, 3), 10, np.uint8), np.full((20, 40, 3), 200, np.uint8)
    stored = compare_displayed(rainy, restored, comparison, rotation)
    if comparison == "side":
        assert stored.shape[1::-1] == side_size(40, 20, rotation)
    else:
        assert stored.shape == rainy.shape
    shown = np.rot90(stored, rotation // 90)
    assert (shown[:, 0] == 10).all() and (shown[:, -1] == 200).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_altered_is_what_changed_by_more_than_so_many_levels(dtype: Any) -> None:
    rainy = np.full((1, 4, 3), 100, dtype)
    level = np.iinfo(dtype).max // 255
    restored = rainy.copy()
    restored[0, 1, 0] -= 1
    restored[0, 2, 1] += 2 * level
    restored[0, 3, 2] += 2 * level + 1
    assert altered(rainy, restored).tolist() == [[0, 0, 0, 255]]
    assert altered(rainy, restored, 0).tolist() == [[0, 255, 255, 255]]
    assert altered(rainy[..., 2], restored[..., 2]).tolist() == [[0, 0, 0, 255]]
    picture = altered_picture(rainy, restored, 0)
    assert picture.dtype == dtype and picture.shape == rainy.shape
    assert (picture[0, 0] == 0).all() and (picture[0, 1:] == np.iinfo(dtype).max).all()
