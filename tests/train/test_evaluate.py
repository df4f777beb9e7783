"""Figures as the papers count them: against cases worked out by hand, and against published ones."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_folder import data_folder
from skimage.metrics import structural_similarity

from derain.engines.errors import DerainError
from derain.engines.quality import luma
from derain.train.datasets import Pair, read_pair, read_pairs
from derain.train.evaluate import RGB, Area, Score, areas, compare, mean, rain_mask, score


def picture(seed: int, height: int = 24, width: int = 32) -> RGB:
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def flat(level: int, side: int = 16) -> RGB:
    return np.full((side, side, 3), level, np.uint8)


def test_a_constant_error_gives_the_psnr_of_the_formula() -> None:
    scored = score(flat(110), flat(100))
    luma_step = 10 * (65.481 + 128.553 + 24.966) / 255
    assert scored.psnr_rgb == pytest.approx(20 * math.log10(255 / 10))
    assert scored.psnr_y == pytest.approx(20 * math.log10(255 / luma_step))


def test_one_wrong_pixel_in_one_colour() -> None:
    """A red pixel 51 too light: 51^2 / 768 on RGB; on Y 51 * 65.481 / 255 = 13.0962, squared, / 256."""
    spoilt = flat(100)
    spoilt[3, 4, 0] += 51
    scored = score(spoilt, flat(100))
    assert scored.psnr_rgb == pytest.approx(10 * math.log10(255**2 / (51**2 / 768)))
    assert scored.psnr_y == pytest.approx(10 * math.log10(255**2 / (13.0962**2 / 256)))


def test_luma_is_in_studio_range_and_not_rounded() -> None:
    black, white, grey = luma(flat(0))[0, 0], luma(flat(255))[0, 0], luma(flat(100))[0, 0]
    assert (black, white) == (16.0, pytest.approx(235.0))
    assert grey == pytest.approx(16 + 100 * 219 / 255)


def test_equal_pictures_have_an_infinite_psnr_and_an_ssim_of_one() -> None:
    scored = score(picture(1), picture(1))
    assert scored.psnr_y == scored.psnr_rgb == math.inf
    assert scored.ssim_y == pytest.approx(1.0, abs=1e-12) == scored.ssim_rgb


def test_ssim_of_two_flat_pictures_is_that_of_their_levels() -> None:
    """Without structure only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1), C1 = 2.55^2."""
    a, b = (16 + level * 219 / 255 for level in (60, 200))
    scored = score(flat(60), flat(200))
    assert scored.ssim_y == pytest.approx((2 * a * b + 6.5025) / (a * a + b * b + 6.5025))
    assert scored.ssim_rgb == pytest.approx((2 * 60 * 200 + 6.5025) / (60**2 + 200**2 + 6.5025))


def test_ssim_is_that_of_scikit_image() -> None:
    clean, rainy = picture(1), np.clip(picture(1).astype(int) + picture(2) // 3, 0, 255).astype(np.uint8)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    scored = score(rainy, clean)
    assert scored.ssim_y == pytest.approx(
        structural_similarity(luma(rainy), luma(clean), **options), abs=1e-12
    )
    whole = structural_similarity(rainy, clean, channel_axis=2, **options)
    assert scored.ssim_rgb == pytest.approx(whole, abs=1e-12)


def test_ssim_leaves_the_border_out() -> None:
    """Its window of 11x11 lies wholly inside: the outermost 5 pixels count only in the windows of others."""
    clean = picture(1, 40, 40)
    far, near = clean.copy(), clean.copy()
    far[0, 0], near[20, 20] = 255 - far[0, 0], 255 - near[20, 20]
    assert score(far, clean).ssim_y > 1 - 1e-4
    assert score(near, clean).ssim_y < 1 - 1e-3


def test_a_clean_picture_is_compared_with_many() -> None:
    others = [picture(2), picture(3)]
    with ThreadPoolExecutor(2) as pool:
        compared = compare(picture(1), others, pool.map)
    assert [figures for figures, _ in compared] == [score(other, picture(1)) for other in others]
    assert np.allclose(compared[1][1], luma(picture(3)) - luma(picture(1)))


def test_pictures_smaller_than_the_window_of_ssim_are_an_error() -> None:
    with pytest.raises(DerainError, match="SSIM needs pictures of 11x11 and more, not 10x12"):
        score(picture(1, 12, 10), picture(2, 12, 10))


def test_the_mean_is_over_pictures_and_infinite_where_one_is() -> None:
    """20 and 40 dB have the mean 30, which is not the PSNR of their mean error, 23 dB."""
    assert mean([Score(20, 0.5, 10, 0.25), Score(40, 1.0, 30, 0.75)]) == Score(30, 0.75, 20, 0.5)
    assert mean([Score(20, 0.5, 10, 0.2), Score(math.inf, 1, 30, 0.4)]).psnr_y == math.inf


def test_the_rain_is_where_a_colour_differs_by_more_than_30() -> None:
    rainy = flat(100)
    rainy[0, 0, 1] += 31
    rainy[0, 1, 2] -= 31
    rainy[0, 2] += 30
    mask = rain_mask(rainy, flat(100))
    assert np.argwhere(mask).tolist() == [[0, 0], [0, 1]]


def test_the_error_is_told_apart_in_the_rain_and_beside_it() -> None:
    """64 pixels with an error of 8 in the rain, 192 with an error of 2 beside it, nothing left over."""
    error, mask = np.full((16, 16), 2.0), np.zeros((16, 16), bool)
    mask[:8, :8] = True
    error[mask] = -8
    found = areas(error, mask)
    assert found.rain == Area(64 * 64.0, 64) and found.free == Area(4 * 192.0, 192)
    assert found.rain.psnr == pytest.approx(20 * math.log10(255 / 8))
    assert found.free.psnr == pytest.approx(20 * math.log10(255 / 2))
    assert found.share == 0.25


def test_areas_add_up_over_pictures_by_their_pixels() -> None:
    """An area of 300 pixels weighs three times one of 100: (300 * 1 + 100 * 25) / 400 = 7."""
    both = Area(300.0, 300) + Area(2500.0, 100)
    assert both.psnr == pytest.approx(10 * math.log10(255**2 / 7))
    assert Area(0.0, 5).psnr == math.inf
    assert math.isnan(Area().psnr)


def data(*parts: str) -> Path:
    return data_folder().joinpath("pairs", *parts)


def psnrs(pairs: tuple[Pair, ...]) -> tuple[float, float]:
    """Means of (Y, RGB) of the rainy pictures, without the slower SSIM."""
    errors = []
    for pair in pairs:
        rainy, clean = read_pair(pair)
        y = Area(float(np.square(luma(rainy) - luma(clean)).sum()), rainy[..., 0].size)
        rgb = Area(float(np.square(rainy.astype(float) - clean).sum()), rainy.size)
        errors.append((y.psnr, rgb.psnr))
    y_mean, rgb_mean = np.mean(errors, axis=0)
    return round(float(y_mean), 2), round(float(rgb_mean), 2)


@pytest.mark.data
def test_rain100l_has_the_published_input_figures() -> None:
    """The reader and the metric count as the papers do."""
    assert psnrs(read_pairs(data("rain100L"))) == (26.90, 25.52)


@pytest.mark.data
def test_every_tenth_pair_of_rain100l_has_the_known_figure() -> None:
    pairs = read_pairs(data("rain100L"))[::10]
    found = mean([score(*read_pair(pair)) for pair in pairs])
    assert round(found.psnr_y, 2) == 29.70
    assert round(found.ssim_y, 3) == 0.873


@pytest.mark.data
def test_the_heavy_sample_has_the_known_figure() -> None:
    assert psnrs(read_pairs(data("rain100H-train-sample")))[0] == 15.26
