"""Snow: short white segments that sink with time."""

from dataclasses import replace

import numpy as np
import pytest

from derain.train.degradations import snow
from derain.train.degradations.rain import Picture

DARK: Picture = np.full((120, 160, 3), 0.2, np.float32)


def test_flakes_are_white_short_and_few() -> None:
    for seed in range(6):
        rainy = snow.apply(DARK, snow.sample(np.random.default_rng(seed), 120, 160))
        assert rainy.image.min() >= 0.2 - 1e-6 and rainy.image.max() <= 1
        assert rainy.image.max() > 0.6
        assert 0.002 < rainy.mask.mean() < 0.4
        edges = (np.flatnonzero(np.diff(column)) for column in np.pad(rainy.mask, 1).T)
        lengths = np.concatenate([ends[1::2] - ends[::2] for ends in edges])
        assert np.quantile(lengths, 0.95) < 16


def test_snow_is_the_same_for_a_seed_and_leaves_its_input() -> None:
    clean = DARK.copy()
    images = [snow.apply(clean, snow.sample(np.random.default_rng(s), 120, 160)).image for s in (1, 1, 2)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    assert np.array_equal(clean, DARK)


def test_snow_sinks_by_its_length_in_each_exposure() -> None:
    drawn = snow.sample(np.random.default_rng(3), 120, 160)
    layer = replace(drawn.layers[2], angle=0.0, jitter=0.0, variety=0.0, length=4.0)
    params = replace(drawn, layers=(layer,), exposure=0.05)
    before, after = (snow.apply(DARK, params, time).image for time in (1.0, 1.1))
    assert np.allclose(after[8:], before[:-8], atol=1e-4)  # 4 pixels / 0.05 s * 0.1 s
    assert not np.allclose(after[:8], before[:8], atol=1e-2)


def test_bright_things_do_not_get_brighter_than_the_flakes() -> None:
    params = replace(snow.sample(np.random.default_rng(3), 120, 160), white=0.9)
    image = snow.apply(np.full_like(DARK, 1.0), params).image
    assert image.min() == pytest.approx(0.9, abs=0.06)
