"""Rain streaks: they fall by speed times time, blend as they say, and are as strong as the published sets."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from derain.engines.quality import luma, psnr
from derain.train.degradations import falling, streaks
from derain.train.degradations.rain import Picture
from derain.train.degradations.streaks import Layer, Streaks

GREY = np.full((160, 200, 3), 0.4, np.float32)
PLAIN = Layer(0.0, 12.0, 1.5, 0.03, 0.5, jitter=0, variety=0)
"""Streaks of one velocity."""


def shower(layer: Layer, exposure: float = 1 / 50) -> Streaks:
    return Streaks((layer,), "additive", 1.0, 0.0, seed=5, exposure=exposure)


def rain_of(params: Streaks, time: float = 0.0) -> npt.NDArray[np.float32]:
    """What the streaks add to grey, (H, W)."""
    return np.asarray(streaks.apply(GREY, params, time).image[..., 0] - GREY[..., 0], np.float32)


def moved(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> tuple[int, int]:
    """(down, right) by which `after` fits `before` best, by cross-correlation."""
    spectrum = np.fft.rfft2(after - after.mean()) * np.conj(np.fft.rfft2(before - before.mean()))
    found = np.fft.irfft2(spectrum, before.shape)
    down, right = np.unravel_index(int(np.argmax(found)), found.shape)
    height, width = before.shape
    return (int(down) + height // 2) % height - height // 2, (int(right) + width // 2) % width - width // 2


@pytest.mark.parametrize(("angle", "step"), [(0.0, 1 / 25), (30.0, 1 / 25), (-40.0, 1 / 30), (10.0, -1 / 25)])
def test_streaks_fall_by_speed_times_time_along_their_angle(angle: float, step: float) -> None:
    params = shower(replace(PLAIN, angle=angle))
    way = PLAIN.length / params.exposure * step
    expected = way * math.cos(math.radians(angle)), way * math.sin(math.radians(angle))
    for time in (0.0, 1.0, 3600.0):
        found = moved(rain_of(params, time), rain_of(params, time + step))
        assert found == pytest.approx(expected, abs=1)


def test_a_streak_still_in_view_is_the_same_streak_moved() -> None:
    params = shower(PLAIN)
    before, after = rain_of(params, 0.2), rain_of(params, 0.2 + 1 / 25)
    assert np.allclose(after[24:], before[:-24], atol=1e-4)  # 12 pixels / (1/50 s) * (1/25 s)
    assert after[:24].max() > 0.1  # new streaks enter from above


def test_far_layers_fall_slower_than_near_ones() -> None:
    near, far = shower(replace(PLAIN, length=24)), shower(replace(PLAIN, length=6))
    ways = [moved(rain_of(p), rain_of(p, 1 / 25))[0] for p in (near, far)]
    assert ways == pytest.approx([48, 12], abs=1)


def test_rain_does_not_loop() -> None:
    params = shower(PLAIN)
    rows = PLAIN.length / params.exposure  # a second's fall, in rows
    first = rain_of(params)
    for bands in (1, 2, 8):
        again = rain_of(params, bands * falling.BAND / rows)
        assert abs(np.corrcoef(first.ravel(), again.ravel())[0, 1]) < 0.1


def test_length_is_what_falls_past_in_the_exposure() -> None:
    layer = replace(PLAIN, length=40.0, coverage=0.002, taper=0.05)
    rain = falling.light(layer, [2], 0.0, np.zeros((400, 400), np.float32))[60:-60]
    columns = rain[:, rain.max(axis=0) > 0.2]
    assert columns.size
    lengths = (columns > 0.5 * columns.max(axis=0)).sum(axis=0)
    assert np.median(lengths) == pytest.approx(40, abs=2)


def test_the_direction_field_bends_smoothly_and_strays_with_jitter() -> None:
    straight = shower(replace(PLAIN, length=40))
    swaying, straying = replace(straight, sway=8.0), shower(replace(PLAIN, length=40, jitter=4))
    field = streaks.bend(swaying, 160, 200)
    slopes = np.degrees(np.arctan(np.diff(field, axis=0)))
    assert 5 < np.abs(slopes).max() <= 8.1
    assert np.abs(np.diff(slopes, axis=0)).max() < 0.5
    assert not streaks.bend(straight, 160, 200).any()
    for params in (swaying, straying):
        across = np.abs(np.diff(rain_of(params), axis=0)).mean()
        assert across > 1.3 * np.abs(np.diff(rain_of(straight), axis=0)).mean()


def test_the_same_seed_and_time_give_the_same_rain_in_any_order() -> None:
    params = streaks.sample(np.random.default_rng(1), 160, 200)
    at_two = rain_of(params, 2.0)
    rain_of(params, 0.5)
    assert np.array_equal(rain_of(params, 2.0), at_two)
    assert not np.array_equal(rain_of(replace(params, seed=params.seed + 1), 2.0), at_two)


def test_light_is_what_coverage_says_and_grows_with_it() -> None:
    still = np.zeros((400, 400), np.float32)
    layer = replace(PLAIN, spread=1.0, coverage=0.02)
    shape = PLAIN.width * math.sqrt(math.pi / 2)  # the integral of the Gaussian across
    expected = layer.coverage / layer.width * shape * 0.5 * layer.brightness
    found = [falling.light(replace(layer, coverage=c), [3], 0.0, still).mean() for c in (0.02, 0.04)]
    assert found == pytest.approx([expected, 2 * expected], rel=0.1)


def test_blends_brighten_screen_or_cover() -> None:
    bright = np.full((100, 100, 3), 0.9, np.float32)
    params = replace(shower(replace(PLAIN, coverage=0.2)), level=0.6)
    rain = falling.light(params.layers[0], [5, 1], 0.0, np.zeros((100, 100), np.float32))[..., None]
    light = {blend: streaks.apply(bright, replace(params, blend=blend)).image for blend in streaks.BLENDS}
    assert np.allclose(light["additive"], np.minimum(bright + rain, 1), atol=1e-6)
    assert np.allclose(light["screen"], 1 - (1 - bright) * (1 - rain), atol=1e-6)
    assert np.allclose(light["over"], bright * (1 - rain) + 0.6 * rain, atol=1e-6)
    assert light["over"].min() < 0.8


def test_haze_veils_and_thins_towards_what_is_near() -> None:
    dry = replace(PLAIN, coverage=0.0)
    hazy = replace(shower(dry), haze=0.4, nearer=1.0)
    rows = streaks.apply(GREY, hazy).image[:, 0, 0]
    assert rows[0] == pytest.approx(0.4 + 0.4 * (streaks.AIRLIGHT - 0.4))
    assert np.all(np.diff(rows) < 0)
    assert rows[-1] == pytest.approx(0.4)


def test_marks_are_where_the_streaks_are() -> None:
    rainy = streaks.apply(GREY, shower(PLAIN))
    difference = np.abs(rainy.image - GREY).max(axis=2)
    assert np.array_equal(rainy.mask > 0, difference > 30 / 255)
    assert np.array_equal(rainy.attention == 0, difference == 0)
    assert 0 < rainy.mask.mean() < 0.2


def photo() -> Picture:
    """A picture with light, shade and texture, about as bright as photographs are."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[0:128, 0:128].astype(np.float32) / 128
    base = 0.2 + 0.35 * x + 0.2 * np.sin(9 * y)
    return np.asarray(np.clip(base[..., None] + rng.normal(0, 0.05, (128, 128, 3)), 0, 1), np.float32)


def strength(style: str, draws: int = 10) -> float:
    """Mean PSNR on Y of a style's rain, in dB."""
    clean = photo()
    y = luma((clean * 255).round().astype(np.uint8))
    found = []
    for seed in range(draws):
        params = streaks.sample(np.random.default_rng(seed), 128, 128, style)
        image = streaks.apply(clean, params).image
        found.append(psnr(luma((image * 255).round().astype(np.uint8)), y, 255))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("style", "decibels"),
    [("rain100l", 27), ("rain100h", 15), ("rain1400", 25), ("did-light", 25), ("did-medium", 22)],
)
def test_styles_are_as_strong_as_the_sets_they_are_named_after(style: str, decibels: float) -> None:
    assert strength(style) == pytest.approx(decibels, abs=3)


def test_did_grows_from_light_to_heavy() -> None:
    light, medium, heavy = (strength(f"did-{name}") for name in ("light", "medium", "heavy"))
    assert light > medium + 1.5 > heavy + 3


def test_rain100l_has_one_direction_and_rain100h_several() -> None:
    def directions(style: str) -> set[float]:
        drawn = (streaks.sample(np.random.default_rng(s), 100, 100, style) for s in range(20))
        return {round(max(x.angle for x in p.layers) - min(x.angle for x in p.layers)) for p in drawn}

    assert directions("rain100l") == {0}
    assert max(directions("rain100h")) > 15


def test_large_pictures_have_larger_streaks() -> None:
    small, large = (
        streaks.sample(np.random.default_rng(2), *size, "rain100l") for size in ((480, 640), (960, 1280))
    )
    assert large.layers[0].length == pytest.approx(2 * small.layers[0].length)
    assert large.layers[0].width == pytest.approx(2 * small.layers[0].width)


def test_an_unknown_style_or_blend_is_told() -> None:
    with pytest.raises(ValueError, match="no style 'fog'; there is mixed, rain100l"):
        streaks.sample(np.random.default_rng(0), 10, 10, "fog")
    with pytest.raises(ValueError, match="no blend 'veil'"):
        streaks.apply(GREY, replace(shower(PLAIN), blend="veil"))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 700)])
def test_any_size_gets_rained_on(size: tuple[int, int]) -> None:
    clean = np.full((*size, 3), 0.5, np.float32)
    for style in streaks.STYLES:
        params = streaks.sample(np.random.default_rng(4), size[0], size[1], style.name)
        assert streaks.apply(clean, params, 0.7).image.shape == clean.shape
