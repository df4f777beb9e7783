"""The mixture networks train on, and the presets that are made of several kinds."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from derain.engines.errors import UsageError
from derain.train.degradations import camera, jrsrd, mixture, sidecar
from derain.train.degradations.compose import Made, Shot, kind_of, make
from derain.train.degradations.presets import PRESETS, preset
from derain.train.degradations.rain import Picture
from derain.train.degradations.raindrops import Raindrops
from derain.train.degradations.streaks import Streaks
from derain.train.recipe import load_recipe, parse

SHARES = {"streaks": 0.3, "drops": 0.3, "joint": 0.2, "dry": 0.2}


def clean_picture(height: int = 60, width: int = 80) -> Picture:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x / width, y / height, (x + y) / (width + height)], axis=2)


def kinds(shot: Shot) -> list[str]:
    return [kind_of(step).name for step in shot.steps]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", mixture.RAIN)
def test_a_share_of_one_brings_its_rain_alone(name: str) -> None:
    falling = {kind for steps in mixture.RAIN.values() for kind in steps}
    for seed in range(6):
        shot = mixture.sample(rng(seed), 60, 80, {name: 1.0})
        assert tuple(kind for kind in kinds(shot) if kind in falling) == mixture.RAIN[name]


def test_rain_is_marked_and_dry_pictures_are_not() -> None:
    for name in mixture.NEEDED:
        made = make(clean_picture(), mixture.sample(rng(5), 60, 80, {name: 1.0}))
        assert made.rainy.image.shape == made.clean.shape == (60, 80, 3)
        assert made.rainy.image.min() >= 0 and made.rainy.image.max() <= 1
        assert (made.rainy.attention.max() > 0) == (name != "dry")


def test_shares_are_of_the_pictures() -> None:
    drawn = [mixture.drawn(rng(seed), SHARES) for seed in range(400)]
    assert {name: drawn.count(name) / 400 for name in SHARES} == pytest.approx(SHARES, abs=0.07)


def test_the_camera_comes_after_the_rain_and_the_codec_last() -> None:
    order = [name for name, _ in mixture.LENS]
    seen: set[str] = set()
    for seed in range(80):
        names = kinds(mixture.sample(rng(seed), 60, 80, {"streaks": 1.0}))
        after = names[names.index("streaks") + 1 :]
        seen.update(after)
        assert names[: names.index("streaks")] in ([], ["night"])
        codecs = [name for name in after if name in ("jpeg", "h264")]
        assert after == [name for name in order if name in after] + codecs
        assert len(codecs) <= 1
    assert seen == {*order, "jpeg", "h264"}


def test_every_shot_comes_back_from_a_side_car() -> None:
    every = dict.fromkeys(mixture.RAIN, 1 / len(mixture.RAIN))
    for seed in range(40):
        shot = mixture.sample(rng(seed), 60, 80, every)
        text = json.dumps(sidecar.to_json(shot, "shot"))
        assert sidecar.from_json(Shot, json.loads(text), "shot") == shot


def test_the_same_seed_draws_the_same_shot() -> None:
    first, second, other = (mixture.sample(rng(seed), 60, 80, SHARES) for seed in (3, 3, 4))
    assert first == second != other


def test_patches_have_drops_and_streaks_as_large_as_in_frames_of_1080_lines() -> None:
    """At that size, drops are at most 18 pixels out of focus and streaks 2.6 wide."""
    lenses = [mixture.sample(rng(seed), 60, 80, {"drops": 1.0}) for seed in range(60)]
    showers = [mixture.sample(rng(seed), 60, 80, {"streaks": 1.0}) for seed in range(60)]
    focus = [step.defocus for shot in lenses for step in shot.steps if isinstance(step, Raindrops)]
    widths = [x.width for shot in showers for s in shot.steps if isinstance(s, Streaks) for x in s.layers]
    assert len(focus) == 60 and 20 < max(focus) <= 18 * mixture.LARGEST
    assert 4 < max(widths) <= 2.6 * mixture.LARGEST
    assert 0.5 < np.mean([value < 18 for value in focus]) < 1


FINAL = (
    "rain100l rain100h strokes rain1400 did-light did-medium did-heavy raindrops raindrops-soft dirt snow "
    "scratches jrsrd joint night"
)


def test_the_presets_are_those_promised() -> None:
    assert [one.name for one in PRESETS] == FINAL.split()
    with pytest.raises(UsageError, match="no rain 'Rain100L'; there is rain100l, rain100h"):
        preset("Rain100L")


@pytest.mark.parametrize("name", FINAL.split())
def test_every_preset_is_drawn_by_its_seed_and_rains(name: str) -> None:
    draws = [preset(name).sample(rng(seed), 60, 80) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    touched = [make(clean_picture(), preset(name).sample(rng(s), 60, 80)).rainy.attention for s in range(3)]
    assert max(float(marks.max()) for marks in touched) > 0.2


def test_jrsrd_lays_streaks_over_drops() -> None:
    assert kinds(preset("jrsrd").sample(rng(), 60, 80)) == ["raindrops", "jrsrd"]
    assert kinds(preset("joint").sample(rng(), 60, 80))[:2] == ["raindrops", "streaks"]


def test_the_night_preset_is_dark() -> None:
    for seed in range(5):
        shot = preset("night").sample(rng(seed), 60, 80)
        night = shot.steps[0]
        assert isinstance(night, camera.Night) and night.lamps and night.level <= 0.5


def jrsrd_light(intensity: int) -> float:
    """How much light the streaks of an intensity add to a grey picture, over a few seeds."""
    grey = np.full((60, 80, 3), 0.3, np.float32)
    rain = [jrsrd.apply(grey, jrsrd.sample(rng(s), 60, 80, intensity)).image.mean() for s in range(4)]
    return float(np.mean(rain))


def test_jrsrds_four_intensities_go_from_20_to_60_per_cent_of_noise() -> None:
    assert list(jrsrd.NOISE) == pytest.approx([0.2, 0.3333, 0.4667, 0.6], abs=1e-4)
    light = [jrsrd_light(intensity) for intensity in (1, 2, 3, 4)]
    assert 0.3 < light[0] < light[1] < light[2] < light[3]
    drawn = {jrsrd.sample(rng(seed), 60, 80).noise for seed in range(40)}
    assert drawn == set(jrsrd.NOISE)


@pytest.mark.parametrize("intensity", [0, 5, -1])
def test_jrsrd_has_no_other_intensity(intensity: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 4, not {intensity}"):
        jrsrd.sample(rng(), 60, 80, intensity)


def test_jrsrds_streaks_fall_their_own_length_in_an_exposure() -> None:
    params = replace(jrsrd.sample(rng(), 60, 80, 4), angle=0.0, length=20.0)
    grey = np.full((60, 80, 3), 0.3, np.float32)
    now, later = (jrsrd.apply(grey, params, time).image for time in (0.0, jrsrd.EXPOSURE))
    assert np.array_equal(later[20:], now[:40])
    assert not np.array_equal(later, now)


def table(shares: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "tiny",
        "network": {"name": "realtime-s"},
        "data": {"photos": ["photos"], "shares": shares},
        "train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3},
    }


def test_recipes_take_the_old_shares_and_the_new_ones() -> None:
    assert parse(table(SHARES), "r").data.shares == SHARES
    more = {**SHARES, "dry": 0.05, "dirt": 0.1, "snow": 0.05}
    assert parse(table(more), "r").data.shares == more
    assert set(load_recipe("glance").data.shares) == set(mixture.NEEDED)
    assert set(load_recipe("realtime-s").data.shares) == {*mixture.NEEDED, "dirt"}


@pytest.mark.parametrize(
    "shares",
    [
        {"streaks": 1.0},
        {**SHARES, "hail": 0.0},
        {**SHARES, "dirt": 0.1},
        {**SHARES, "dry": -0.2, "dirt": 0.4},
    ],
)
def test_shares_that_can_not_be_are_named(shares: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"shares must give streaks, drops, joint and dry.*none below 0"):
        parse(table(shares), "r")


@pytest.mark.parametrize("dry", ["much", float("nan"), True])
def test_a_share_is_a_number(dry: object) -> None:
    with pytest.raises(UsageError, match=r"shares takes a number for each of its keys, not {.*'dry'"):
        parse(table({**SHARES, "dry": dry}), "r")


def test_training_patches_see_night_and_sharpened_scenes_in_both_twins() -> None:
    """What was done to a photograph before the rain, in earlier recipes, is part of the shot now."""
    dark: list[Made] = []
    for seed in range(30):
        shot = mixture.sample(rng(seed), 60, 80, {"dry": 1.0})
        if kinds(shot)[:1] == ["night"]:
            dark.append(make(clean_picture(), Shot(shot.steps[:1])))
    assert 3 <= len(dark) <= 13
    assert all(np.array_equal(made.rainy.image, made.clean) for made in dark)
