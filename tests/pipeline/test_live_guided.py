"""A correction found at a smaller scale, on the picture of full size."""

import cv2
import numpy as np
import pytest

from derain.engines.engine import Pixels
from derain.pipeline.live.guided import corrected, smaller


def street(height: int = 96, width: int = 128) -> Pixels:
    """A picture with smooth parts, edges and fine detail."""
    rng = np.random.default_rng(3)
    picture = cv2.resize(rng.integers(40, 200, (6, 8, 3), dtype=np.uint8), (width, height))
    picture[::4, width // 2 :] //= 2
    return np.ascontiguousarray(picture)


def rained_on(clean: Pixels) -> Pixels:
    """With broad streaks on its left half."""
    layer = np.zeros_like(clean)
    for x in range(8, clean.shape[1] // 2 - 16, 18):
        cv2.line(layer, (x, 0), (x + 12, clean.shape[0]), (70, 70, 70), 5, cv2.LINE_AA)
    return np.asarray(cv2.add(clean, layer))


def error(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("scale", [2 / 3, 1 / 2, 1 / 3])
def test_rain_goes_and_detail_stays(scale: float) -> None:
    clean = street()
    rainy = rained_on(clean)
    small = smaller(rainy, scale)
    restored = corrected(rainy, small, smaller(clean, scale))
    assert error(restored, clean) < 0.5 * error(rainy, clean)
    made_large = cv2.resize(smaller(clean, scale), (rainy.shape[1], rainy.shape[0]))
    assert error(restored, clean) < error(made_large, clean), "better than the small picture made large"


def test_dry_pixels_stay_as_they_are() -> None:
    clean = street()
    rainy = rained_on(clean)
    restored = corrected(rainy, smaller(rainy, 0.5), smaller(clean, 0.5))
    assert np.array_equal(restored[:, 72:], rainy[:, 72:])
    assert not np.array_equal(restored, rainy)


def test_what_the_network_left_alone_is_the_picture_itself() -> None:
    rainy = street(37, 53)
    small = smaller(rainy, 1 / 3)
    assert np.array_equal(corrected(rainy, small, small.copy()), rainy)


def test_a_correction_that_is_the_same_everywhere_is_that() -> None:
    rainy = np.full((40, 60, 3), 100, np.uint8)
    small = smaller(rainy, 0.5)
    assert np.array_equal(corrected(rainy, small, small - 30), rainy - 30)
    assert np.array_equal(corrected(rainy, small, small - 30, strength=0.5), rainy - 15)
    assert np.array_equal(corrected(rainy, small, small - 30, strength=0.0), rainy)


def test_no_level_runs_over() -> None:
    rainy = np.full((20, 20, 3), 250, np.uint8)
    rainy[:10] = 4
    small = smaller(rainy, 0.5)
    brighter, darker = np.full_like(small, 255), np.zeros_like(small)
    assert corrected(rainy, small, brighter).min() > 200
    assert corrected(rainy, small, darker).max() < 50


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 1)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    rainy = np.full((*size, 3), 80, np.uint8)
    small = smaller(rainy, 1 / 3)
    assert corrected(rainy, small, small).shape == rainy.shape
