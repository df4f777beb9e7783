"""Flicker, worked out by hand."""

import math

import numpy as np
import pytest

from derain.engines.errors import DerainError
from derain.train.evaluate import Plane
from derain.train.flicker import Flicker


def flicker(*errors: Plane) -> float:
    measured = Flicker()
    for error in errors:
        measured.add(error)
    return measured.value


def plane(level: float) -> Plane:
    return np.full((4, 6), level)


def test_an_error_that_stands_still_does_not_flicker() -> None:
    still = np.arange(24.0).reshape(4, 6)
    assert flicker(still, still, still) == 0


def test_the_change_of_the_error_is_averaged_over_frames_and_pixels() -> None:
    """Half the pixels step by 4 and then back by 3: (2 + 1.5) / 2."""
    half = plane(0)
    half[:, :3] = 1
    assert flicker(0 * half, 4 * half, 1 * half) == pytest.approx((2 + 1.5) / 2)


def test_what_moves_in_the_clean_clip_too_is_no_flicker() -> None:
    """|(r1 - r0) - (c1 - c0)| is |e1 - e0|: a scene that moves under a steady veil gives none."""
    scenes = [np.random.default_rng(seed).uniform(0, 200, (4, 6)) for seed in range(3)]
    veiled = [scene + 20 for scene in scenes]
    by_error = flicker(*(r - c for r, c in zip(veiled, scenes, strict=True)))
    assert by_error == pytest.approx(0, abs=1e-9)


def test_rain_that_comes_and_goes_flickers_more_than_what_is_left_of_it() -> None:
    drops = [np.where(np.random.default_rng(n).random((4, 6)) < 0.2, 60.0, 0.0) for n in range(5)]
    assert flicker(*(drop / 10 for drop in drops)) == pytest.approx(flicker(*drops) / 10)
    assert flicker(*drops) > 5


def test_one_frame_has_no_flicker_to_tell() -> None:
    assert math.isnan(flicker(plane(3)))


def test_frames_of_two_sizes_are_an_error() -> None:
    with pytest.raises(DerainError, match=r"change from \(4, 6\) to \(2, 2\)"):
        flicker(plane(0), np.zeros((2, 2)))
