"""Scratches: cubic splines through their knots that stay where they are."""

import numpy as np
import numpy.typing as npt

from derain.train.degradations import scratches
from derain.train.degradations.rain import Picture
from derain.train.degradations.scratches import Scratch, Scratches

CLEAN: Picture = np.full((120, 160, 3), 0.3, np.float32)


def test_a_spline_goes_through_its_knots_with_smooth_slope_and_bend() -> None:
    knots = np.array([[0, 0], [10, 4], [18, -3], [30, 5], [33, 20]], np.float64)
    pieces = 200
    curve = scratches.spline(knots, pieces)
    assert np.allclose(curve[::pieces], knots)
    slope = np.diff(curve, axis=0) * pieces
    bend = np.diff(slope, axis=0) * pieces
    assert np.abs(np.diff(slope, axis=0)).max() < 1
    assert np.abs(np.diff(bend, axis=0)).max() < 2
    assert np.abs(bend[[0, -1]]).max() < 1  # natural: straight at its ends


def covered(params: Scratches) -> npt.NDArray[np.float32]:
    return np.asarray(scratches.apply(CLEAN, params).image[..., 0] - CLEAN[..., 0], np.float32)


def test_a_straight_scratch_is_where_its_knots_say() -> None:
    scratch = Scratch(((0.1, 0.25), (0.3, 0.25), (0.6, 0.25)), width=1, strength=0.5, grey=0.9)
    change = covered(Scratches((scratch,)))
    assert np.allclose(change[40, 20:90], 0.5 * 0.6, atol=0.07)
    assert not change[:36].any() and not change[45:].any() and not change[:, :12].any()


def test_the_last_scratch_lies_on_top() -> None:
    knots = ((0.1, 0.25), (0.3, 0.25), (0.6, 0.25))
    light, dark = (Scratch(knots, 1, 1.0, grey) for grey in (0.9, 0.1))
    assert covered(Scratches((light, dark)))[40, 50] < 0 < covered(Scratches((dark, light)))[40, 50]


def test_scratches_stay_and_are_the_same_for_a_seed() -> None:
    drawn = [scratches.sample(np.random.default_rng(seed), 120, 160) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    first = scratches.apply(CLEAN, drawn[0], 0.0)
    assert np.array_equal(first.image, scratches.apply(CLEAN, drawn[0], 9.0).image)


def test_drawn_scratches_mark_a_little_of_the_picture() -> None:
    for seed in range(8):
        rainy = scratches.apply(CLEAN, scratches.sample(np.random.default_rng(seed), 120, 160))
        assert rainy.image.min() >= 0 and rainy.image.max() <= 1
        assert 0.001 < rainy.mask.mean() < 0.35
        assert np.all(rainy.attention[rainy.mask > 0] == 1)
