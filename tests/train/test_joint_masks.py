"""Drops and streaks of one shot are marked apart."""

import numpy as np

from derain.train.degradations import dirt, jrsrd, masks, raindrops, snow, streaks
from derain.train.degradations.camera import Noise
from derain.train.degradations.compose import Shot, make
from derain.train.degradations.joint_masks import joint_attention, joint_masks

CLEAN = np.linspace(0.2, 0.7, 48 * 48 * 3, dtype=np.float32).reshape(48, 48, 3)


def drops() -> raindrops.Raindrops:
    return raindrops.sample(np.random.default_rng(0), 48, 48)


def noise_streaks() -> jrsrd.NoiseStreaks:
    return jrsrd.sample(np.random.default_rng(1), 48, 48)


def test_each_mask_is_of_its_rain_alone() -> None:
    wet = make(CLEAN, Shot((drops(),))).rainy.image
    both = make(CLEAN, Shot((drops(), noise_streaks()))).rainy.image
    got = joint_masks(CLEAN, Shot((drops(), noise_streaks())))
    np.testing.assert_array_equal(got.streaks, masks.daiam(both, wet))
    dry = make(CLEAN, Shot((noise_streaks(),))).rainy.image
    np.testing.assert_array_equal(got.drops, masks.daiam(both, dry))
    assert got.drops.max() == got.streaks.max() == 1
    untouched = np.abs(wet - CLEAN).max(axis=2) == 0
    assert untouched.any() and not got.drops[untouched].any()


def test_the_mask_of_missing_rain_is_empty() -> None:
    falling = streaks.sample(np.random.default_rng(2), 48, 48)
    got = joint_masks(CLEAN, Shot((falling,)))
    assert got.streaks.max() == 1 and not got.drops.any()
    dry = joint_masks(CLEAN, Shot(()))
    assert not dry.drops.any() and not dry.streaks.any()
    assert dry.drops.shape == (48, 48)


def test_noise_is_no_rain() -> None:
    from_noise = joint_masks(CLEAN, Shot((drops(), Noise(0.1, 0.0, 0))))
    without = joint_masks(CLEAN, Shot((drops(),)))
    np.testing.assert_array_equal(from_noise.drops, without.drops)
    assert not from_noise.streaks.any()


def test_in_the_absolute_scale_each_kind_is_marked_as_it_falls() -> None:
    wet = make(CLEAN, Shot((drops(),)))
    both = make(CLEAN, Shot((drops(), noise_streaks())))
    got = joint_attention(both)
    np.testing.assert_array_equal(got.drops, wet.rainy.attention)
    np.testing.assert_array_equal(got.streaks, masks.attention(both.rainy.image, wet.rainy.image))
    np.testing.assert_array_equal(np.maximum(*got), both.rainy.attention)
    twice = joint_attention(make(CLEAN, Shot((noise_streaks(), noise_streaks()))))
    assert twice.streaks.any() and not twice.drops.any()
    dry = joint_attention(make(CLEAN, Shot(())))
    assert not dry.drops.any() and dry.drops.shape == (48, 48)


def test_dirt_is_with_what_sticks_to_the_lens_and_snow_with_what_falls() -> None:
    rng = np.random.default_rng(3)
    marks = dirt.sample(rng, 48, 48)
    shot = Shot((marks, snow.sample(rng, 48, 48)))
    for got in (joint_masks(CLEAN, shot), joint_attention(make(CLEAN, shot))):
        assert got.drops.any() and got.streaks.any()
    assert not joint_masks(CLEAN, Shot((marks,))).streaks.any()
