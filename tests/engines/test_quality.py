"""PSNR and luma against cases worked out by hand."""

import math

import numpy as np
import pytest

from derain.engines.quality import luma, psnr


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((0, 0, 0), 16.0),
        ((255, 255, 255), 235.0),
        ((255, 0, 0), 81.481),
        ((0, 255, 0), 144.553),
        ((0, 0, 255), 40.966),
    ],
)
def test_luma_is_that_of_matlab(rgb: tuple[int, int, int], expected: float) -> None:
    eight = np.full((2, 3, 3), rgb, np.uint8)
    assert luma(eight) == pytest.approx(np.full((2, 3), expected))
    assert luma(eight.astype(np.uint16) * 257) == pytest.approx(np.full((2, 3), expected))
    assert luma(eight / 255.0) == pytest.approx(np.full((2, 3), expected))


def test_luma_of_grey_lies_between() -> None:
    assert luma(np.full(3, 51, np.uint8)) == pytest.approx(16 + 219 / 5)


def test_psnr_of_a_known_error() -> None:
    dark, light = np.zeros((4, 4), np.uint8), np.full((4, 4), 16, np.uint8)
    assert psnr(dark, light, 255) == pytest.approx(20 * math.log10(255 / 16))
    assert psnr(light, dark, 255) == psnr(dark, light, 255), "unsigned values must not wrap round"


def test_psnr_counts_one_pixel_by_its_share() -> None:
    a, b = np.zeros(100), np.zeros(100)
    b[7] = 1.0
    assert psnr(a, b, 1) == pytest.approx(20)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    picture = np.arange(12, dtype=np.uint16).reshape(2, 2, 3)
    assert psnr(picture, picture.copy(), 65535) == math.inf


def test_psnr_refuses_to_stretch_one_picture_over_another() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3,\)"):
        psnr(np.zeros((2, 3)), np.zeros(3), 1)
