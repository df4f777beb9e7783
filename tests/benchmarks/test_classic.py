"""The classic filters against loops over their definitions, at the paper's settings."""

import importlib
import sys
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from derain.benchmarks.peers import classic
from derain.benchmarks.peers.critic import RGB, Critic
from derain.engines.errors import UsageError

ALL = {method.name: method for method in (*classic.DIRT, *classic.RAIN)}


def noisy(height: int, width: int) -> RGB:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def naive_median(picture: RGB, window: int) -> RGB:
    before = window // 2
    padded = np.pad(picture, [(before, window - 1 - before)] * 2 + [(0, 0)], "symmetric")
    out = np.empty_like(picture)
    for row, column, colour in np.ndindex(picture.shape):
        values = np.sort(padded[row : row + window, column : column + window, colour].ravel())
        out[row, column, colour] = values[window * window // 2]
    return out


@pytest.mark.parametrize("name, window", [("median 8x8", 8), ("median 5x5", 5)])
def test_the_median_is_that_of_every_window(name: str, window: int) -> None:
    picture = noisy(13, 11)
    assert np.array_equal(ALL[name].restore(picture), naive_median(picture, window))


def naive_bilateral(
    picture: RGB, sigma_s: float, sigma_r: float, row: int, column: int
) -> npt.NDArray[np.float64]:
    reach = round(3 * sigma_s)
    unit = picture / 255
    total, weights = np.zeros(3), 0.0
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if np.hypot(down, right) <= reach:
                there = unit[row + down, column + right]
                colour = np.abs(there - unit[row, column]).sum()
                weight = np.exp(-(down**2 + right**2) / (2 * sigma_s**2) - colour**2 / (2 * sigma_r**2))
                total, weights = total + weight * there, weights + weight
    return total / weights * 255


@pytest.mark.parametrize("name, sigma_s", [("bilateral 3, 0.3", 3), ("bilateral 2, 0.3", 2)])
def test_the_bilateral_filter_weighs_distance_and_colour(name: str, sigma_s: float) -> None:
    picture = noisy(24, 23)
    restored = ALL[name].restore(picture)
    for row, column in ((10, 11), (12, 9)):
        assert restored[row, column] == pytest.approx(
            naive_bilateral(picture, sigma_s, 0.3, row, column), abs=0.6
        )


@pytest.mark.parametrize("name", ["median 8x8", "median 5x5", "bilateral 3, 0.3", "bilateral 2, 0.3"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 17)])
def test_any_size_comes_back_and_an_even_picture_stays(name: str, shape: tuple[int, int]) -> None:
    critic: Critic = ALL[name]
    even = np.full((*shape, 3), (10, 128, 250), np.uint8)
    restored = critic.restore(even)
    assert restored.dtype == np.uint8
    assert np.array_equal(restored, even)
    assert critic.judges == ()


def test_bm3d_gets_the_picture_in_0_to_1_with_the_papers_sigma(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def bm3d_rgb(picture: npt.NDArray[np.float32], sigma: float) -> npt.NDArray[np.float64]:
        calls.append((picture.min(), picture.max(), sigma))
        return picture.astype(np.float64) * 2 - 0.5

    package = ModuleType("bm3d")
    package.__dict__["bm3d_rgb"] = bm3d_rgb
    monkeypatch.setitem(sys.modules, "bm3d", package)
    picture = np.array([[[0, 100, 255]]], np.uint8)
    assert ALL["BM3D 0.15"].restore(picture).tolist() == [[[0, 72, 255]]]
    assert calls == [(0, 1, 0.15)]


def test_without_the_package_one_sentence_names_it_and_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(UsageError, match=r"BM3D needs the package bm3d: pip install bm3d .*non-commercial"):
        ALL["BM3D 0.15"].restore(noisy(8, 8))
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    with pytest.raises(UsageError, match="8x8 needs the package scipy: pip install"):
        ALL["median 8x8"].restore(noisy(8, 8))


def test_bm3d_takes_noise_away_where_it_is_installed() -> None:
    if importlib.util.find_spec("bm3d") is None:
        pytest.skip("the package bm3d is not installed")
    clean = np.full((48, 48, 3), 120, np.uint8)
    noise = np.random.default_rng(2).normal(0, 0.15 * 255, clean.shape)
    rainy = (clean + noise).clip(0, 255).astype(np.uint8)
    restored = ALL["BM3D 0.15"].restore(rainy)
    assert np.abs(restored - 120.0).mean() < 0.25 * np.abs(rainy - 120.0).mean()
