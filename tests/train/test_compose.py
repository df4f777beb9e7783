"""A shot is its steps in order; marks are of the rain, as it is seen."""

from dataclasses import dataclass

import numpy as np
import pytest

from derain.train.degradations import camera, compose
from derain.train.degradations.compose import KINDS, Made, RainKind, Shot, kind_of, make
from derain.train.degradations.rain import Picture, Rainy, compared


@dataclass(frozen=True)
class Stain:
    """Rain in one place: a square lightened by `level`."""

    row: int
    level: float


def stain(clean: Picture, params: Stain, time: float) -> Rainy:
    image = clean.copy()
    image[params.row : params.row + 4, 8:12] += params.level + time
    return compared(image, clean)


@pytest.fixture(autouse=True)
def stains(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = RainKind("stain", Stain, lambda rng, height, width: Stain(0, 0.5), stain)
    monkeypatch.setattr(compose, "KINDS", (*KINDS, kind))


CLEAN = np.full((20, 20, 3), 0.3, np.float32)
GREY_LEVEL = 1 / 255


def shot(*steps: object) -> Made:
    return make(CLEAN, Shot(steps))


def test_a_shot_without_steps_is_the_clean_picture() -> None:
    made = shot()
    assert np.array_equal(made.rainy.image, CLEAN)
    assert np.array_equal(made.clean, CLEAN)
    assert made.rainy.mask.shape == made.rainy.attention.shape == (20, 20)
    assert made.rainy.mask.max() == made.rainy.attention.max() == 0


def test_where_two_kinds_fall_the_strongest_mark_stays() -> None:
    made = shot(Stain(0, 0.05), Stain(10, 0.5), Stain(0, -0.05))
    assert made.rainy.attention[0, 8] == pytest.approx(0.5)  # taken back again, and yet it was touched
    assert made.rainy.attention[10, 8] == 1
    assert made.rainy.mask.sum() == 16


def test_the_time_reaches_every_step() -> None:
    assert make(CLEAN, Shot((Stain(0, 0.1),)), 0.2).rainy.image[0, 8, 0] == pytest.approx(0.6)


def test_night_before_the_rain_darkens_the_scene_and_not_the_rain() -> None:
    dark = camera.Night(1.0, 0.5, ())
    before, after = shot(dark, Stain(0, 0.4)), shot(Stain(0, 0.4), dark)
    assert before.rainy.image[0, 8, 0] == pytest.approx(0.55)
    assert after.rainy.image[0, 8, 0] == pytest.approx(0.35)
    assert np.allclose(before.clean, 0.15) and np.allclose(after.clean, 0.15)


def test_marks_follow_the_lens() -> None:
    sharp, soft = shot(Stain(8, 0.5)), shot(Stain(8, 0.5), camera.Defocus(2.0))
    assert sharp.rainy.mask[7, 10] == 0
    assert soft.rainy.mask[7, 10] == 1
    assert np.allclose(soft.clean, CLEAN)


def test_noise_is_no_rain_and_stays_out_of_the_clean_twin() -> None:
    made = shot(Stain(0, 0.5), camera.Noise(0.2, 0.0, 1), camera.Exposure(1.0, 1.0, 1.0))
    assert np.ptp(made.clean) < GREY_LEVEL
    assert made.clean.mean() > 0.35  # the exposure reached it
    assert np.abs(made.rainy.image - made.clean)[10:].max() > 0.3
    assert made.rainy.mask.sum() == 16


def test_a_dry_view_marks_nothing() -> None:
    made = shot(camera.Night(2.0, 0.5, ()), camera.Sharpening(1.0, 1.0), camera.Exposure(-0.5, 1.0, 1.0))
    assert np.array_equal(made.rainy.image, made.clean)
    assert made.rainy.mask.max() == made.rainy.attention.max() == 0


def test_a_step_of_no_kind_is_named_beside_those_there_are() -> None:
    with pytest.raises(TypeError, match=r"int is no step of a shot; KINDS lists streaks, raindrops"):
        make(CLEAN, Shot((3,)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_drawn_by_its_seed_and_found_by_its_params(kind: compose.RainKind) -> None:
    draws = [kind.sample(np.random.default_rng(seed), 48, 64) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert kind_of(draws[0]) is kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_gives_the_same_picture_for_the_same_params_and_leaves_the_clean_one(
    kind: compose.RainKind | compose.ViewKind,
) -> None:
    y, x = np.mgrid[0:37, 0:51].astype(np.float32)  # odd sides, for the codec
    clean = np.stack([x / 51, y / 37, 1 - x / 51], axis=2)
    before = clean.copy()
    step = kind.sample(np.random.default_rng(5), 37, 51)
    first, second = (make(clean, Shot((step,)), 0.25).rainy for _ in range(2))
    assert np.array_equal(clean, before)
    assert np.array_equal(first.image, second.image)
    assert first.image.shape == clean.shape and first.image.dtype == np.float32
    assert first.image.min() >= 0 and first.image.max() <= 1
    assert first.mask.dtype == first.attention.dtype == np.float32
    assert set(np.unique(first.mask)) <= {0.0, 1.0}


def test_names_and_params_of_kinds_are_each_there_once() -> None:
    assert len({kind.name for kind in KINDS}) == len({kind.params for kind in KINDS}) == len(KINDS)
