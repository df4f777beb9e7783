"""Rain on clean pictures: the same for a seed, in range, and where its mask says."""

from types import ModuleType

import numpy as np
import pytest

from derain.train.degradations import raindrops, streaks
from derain.train.degradations.rain import Picture


def clean_picture(height: int = 60, width: int = 80) -> Picture:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x / width, y / height, (x + y) / (width + height)], axis=2)


@pytest.mark.parametrize("rain", [streaks, raindrops])
def test_rain_is_the_same_for_a_seed_and_another_for_another(rain: ModuleType) -> None:
    clean = clean_picture()
    images = [
        rain.apply(clean, rain.sample(np.random.default_rng(seed), *clean.shape[:2])).image
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize("rain", [streaks, raindrops])
def test_rain_stays_in_range_and_its_mask_marks_what_changed(rain: ModuleType) -> None:
    clean = clean_picture()
    for seed in range(12):
        rainy = rain.apply(clean, rain.sample(np.random.default_rng(seed), *clean.shape[:2]))
        assert rainy.image.dtype == rainy.mask.dtype == np.float32
        assert rainy.image.min() >= 0 and rainy.image.max() <= 1
        changed = np.abs(rainy.image - clean).max(axis=2)
        assert np.all(rainy.attention[changed > 0.1] == 1)
        assert np.all(rainy.attention[changed == 0] == 0)


@pytest.mark.parametrize("rain", [streaks, raindrops])
def test_rain_does_not_touch_the_clean_picture(rain: ModuleType) -> None:
    clean = clean_picture()
    before = clean.copy()
    rain.apply(clean, rain.sample(np.random.default_rng(3), *clean.shape[:2]))
    assert np.array_equal(clean, before)


def test_streaks_of_two_times_differ() -> None:
    clean = clean_picture()
    shower = streaks.sample(np.random.default_rng(1), 60, 80)
    assert not np.array_equal(streaks.apply(clean, shower, 0).image, streaks.apply(clean, shower, 1).image)
