"""Raindrops: optics as of water on glass, still on the lens while the scene moves, and what moves them."""

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from derain.benchmarks.drop_statistics import measure
from derain.engines.errors import UsageError
from derain.train.degradations import raindrops
from derain.train.degradations.drop_motion import reached, travelled
from derain.train.degradations.drop_optics import bend
from derain.train.degradations.drop_shapes import blobs, surface
from derain.train.degradations.rain import Picture
from derain.train.degradations.raindrops import Drop, Lobe, Mist, Raindrops, Slide, Wiper, apply, sample

RUN = Slide(start=1.0, speed=20.0, pause=1.0, run=1.0, drying=0.5)
SHARP = Drop(40, 40, 20, contact=45)


def scene(height: int = 96, width: int = 128, seed: int = 0) -> Picture:
    """Blurred noise of mid greys, under a bright sky and over dark ground."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((height, width, 3), np.float32), (0, 0), 1.5)
    light = np.linspace(0.75, 0.15, height, dtype=np.float32)[:, None, None]
    return np.asarray(np.clip(light + 1.2 * (noise - 0.5), 0, 1), np.float32)


def wet(lens: Raindrops, time: float = 0.0, height: int = 96, width: int = 128) -> npt.NDArray[np.bool_]:
    """Where there is water: it shines, whatever it would show."""
    clean = np.full((height, width, 3), 0.3, np.float32)
    return apply(clean, replace(lens, glow=1.0, rim=0.0), time).attention > 0.05


def middle_row(where: npt.NDArray[np.bool_]) -> float:
    return float(np.nonzero(where)[0].mean())


@pytest.mark.parametrize("style", [None, *(one.name for one in raindrops.STYLES)])
def test_the_same_lens_for_a_seed_and_another_for_another(style: str | None) -> None:
    clean = scene()
    lenses = [sample(np.random.default_rng(seed), 96, 128, style) for seed in (1, 1, 2)]
    images = [apply(clean, lens, 3.7).image for lens in lenses]
    assert lenses[0] == lenses[1]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (65, 48)])
def test_any_size_stays_in_range_and_is_marked_where_it_changed(size: tuple[int, int]) -> None:
    clean = scene(*size)
    for seed in range(12):
        rainy = apply(clean, sample(np.random.default_rng(seed), *size), time=seed / 3)
        changed = np.abs(rainy.image - clean).max(axis=2)
        assert rainy.image.shape == clean.shape and rainy.image.dtype == np.float32
        assert rainy.image.min() >= 0 and rainy.image.max() <= 1
        assert np.array_equal(rainy.mask == 1, changed > 30 / 255)
        assert np.all(rainy.attention[changed > 0.1] == 1)


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(UsageError, match="no style of drops 'drizzle'; there is dense, soft, any"):
        sample(np.random.default_rng(0), 64, 64, "drizzle")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Drop(0, 0, -3), "a drop's radius of raindrops is from 0.1 to 2000, not -3"),
        (lambda: Drop(0, 0, 3, contact=math.nan), "a drop's contact of raindrops is from 5 to 85, not nan"),
        (lambda: replace(RUN, run=0.0), "a slide's run"),
        (lambda: Mist(-1, 2, 0.2, 40, 0, 1), "mist's count"),
        (lambda: replace(wiped_lens(), defocus=-1), "the defocus"),
    ],
)
def test_impossible_water_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


def test_drops_stand_still_on_the_lens_while_the_scene_moves() -> None:
    lens = Raindrops((SHARP, Drop(100, 70, 12)), Mist(20, 2, 0.2, 40, 3, seed=1))
    first, second = scene(seed=1), np.roll(scene(seed=1), 9, axis=1)
    now, later = apply(first, lens, 0.0).image, apply(second, lens, 50.0).image
    dry = ~wet(lens)
    assert dry.mean() > 0.5
    assert np.abs(now - first)[dry].max() < 0.1 and np.abs(later - second)[dry].max() < 0.1
    assert np.array_equal(apply(first, lens, 50.0).image, now)
    assert np.abs(now - first)[~dry].mean() > 0.1 and np.abs(later - second)[~dry].mean() > 0.1


def test_a_cap_is_as_thick_as_its_contact_angle_says() -> None:
    water = surface(blobs([(32, 32, 20, 1, 0, math.radians(60))]), 64, 64, margin=0)
    assert water.thickness[32, 32] == pytest.approx(20 * math.tan(math.radians(30)), rel=0.01)
    assert water.cover.sum() == pytest.approx(math.pi * 20**2, rel=0.02)
    assert water.thickness[32, 56] == 0


def test_lobes_merge_into_one_drop() -> None:
    two = surface(blobs([(25, 32, 10, 1, 0, 0.7), (38, 32, 8, 1, 0, 0.7)]), 64, 64, margin=0)
    count, _ = cv2.connectedComponents((two.cover > 0.5).astype(np.uint8))
    assert count == 2  # the glass and one drop
    lens = Raindrops((Drop(25, 32, 10, lobes=(Lobe(1.3, 0, 0.8),)),))
    assert wet(lens)[32, 44] and not wet(Raindrops((Drop(25, 32, 10),)))[32, 44]


def test_ovals_are_taller_than_wide() -> None:
    rows, columns = np.nonzero(surface(blobs([(32, 32, 15, 1.5, 0, 0.7)]), 64, 64, margin=0).cover > 0.5)
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(1.5, rel=0.1)


def test_water_bends_light_as_snell_says() -> None:
    slopes = np.tan(np.radians(np.array([10, 30, 60], np.float32)))
    tangent, passed = bend(slopes)
    for angle, found in zip((10, 30), tangent, strict=False):
        turned = math.asin(1.333 * math.sin(math.radians(angle))) - math.radians(angle)
        assert found == pytest.approx(math.tan(turned), rel=1e-3)
    assert passed[0] == passed[1] == 1 and passed[2] == 0  # steeper than 48.6 degrees nothing passes


def test_a_sharp_drop_shows_the_scene_flipped() -> None:
    sides = np.zeros((96, 128, 3), np.float32)
    sides[:, :64, 0], sides[:, 64:, 2] = 0.8, 0.8
    drop = apply(sides, Raindrops((Drop(64, 48, 20, contact=40),), view=1.5, sky=0.3)).image
    assert drop[48, 54, 2] > 0.5 and drop[48, 54, 0] < 0.2
    assert drop[48, 74, 0] > 0.5 and drop[48, 74, 2] < 0.2
    halves = np.zeros((96, 128, 3), np.float32)
    halves[:48] = 0.8
    drop = apply(halves, Raindrops((Drop(64, 48, 20, contact=40),), view=1.5)).image
    assert drop[60, 64].min() > 0.6 and drop[36, 64].max() < 0.2


def test_a_drop_gathers_more_than_the_picture_shows() -> None:
    dark = np.full((96, 128, 3), 0.35, np.float32)
    low = apply(dark, Raindrops((Drop(64, 48, 20, contact=44),), view=3, tint=1)).image[64, 64]
    assert low.min() > 0.5 and low[2] > low[0]  # the sky above the picture, in the drop's lower half, bluish


def test_steep_drops_have_dark_rims() -> None:
    bright = np.full((96, 128, 3), 0.8, np.float32)
    lens = Raindrops((Drop(64, 48, 24, contact=75),), rim=1, view=0.5)
    image = apply(bright, lens).image
    assert image[48, 64 - 22].max() < 0.3 and image[48, 64].min() > 0.6
    assert apply(bright, replace(lens, rim=0.0)).image[48, 64 - 22].min() > 0.6


def test_focus_makes_edges_soft_and_lets_the_background_through() -> None:
    clean = np.full((96, 128, 3), 0.1, np.float32)
    softness = []
    for defocus in (0.0, 3.0, 9.0):
        lens = Raindrops((Drop(64, 48, 10, contact=20),), defocus=defocus, glow=1, rim=0)
        row = apply(clean, lens).image[48, :, 1] - 0.1
        softness.append(int(((row > 0.2 * row.max()) & (row < 0.8 * row.max())).sum()))
    assert softness[0] <= 4 < softness[1] < softness[2]
    checks = np.where(np.indices((96, 128)).sum(axis=0) % 2, 0.6, 0.4).astype(np.float32)
    fine = checks[..., None].repeat(3, axis=2)
    lens = Raindrops((Drop(64, 48, 10, contact=20),), defocus=14)
    inside = apply(fine, lens).image[44:52, 60:68, 1]
    assert 0.3 * 0.2 < np.ptp(inside) < 0.8 * 0.2


def test_drops_beyond_the_border_blur_into_the_picture() -> None:
    lens = Raindrops((Drop(-8, 48, 6),), defocus=10)
    assert wet(lens)[48, 0] and not wet(replace(lens, defocus=0.0)).any()


def test_night_has_no_bright_sky_in_its_drops() -> None:
    lens = Raindrops((SHARP, Drop(90, 50, 15)), defocus=4, glow=0.3)
    night = scene() * np.float32(0.05)
    assert apply(night, lens).image.max() < 0.2


def test_a_sliding_drop_sticks_slips_and_leaves() -> None:
    lens = Raindrops((Drop(64, 20, 8, slide=RUN),))
    rows = [middle_row(wet(lens, time)) for time in (0.0, 1.9, 2.5, 2.9, 3.9)]
    assert rows[0] == rows[1] < rows[2] < rows[3]
    assert rows[3] + 1.5 < rows[4] < rows[3] + 6  # it runs on until 3.0, then rests; its trail dries
    assert not wet(lens, 60.0).any()


def test_a_sliding_drop_leaves_a_trail_that_dries() -> None:
    lens = Raindrops((Drop(64, 10, 8, slide=replace(RUN, speed=60, drying=3.0)),))
    fresh, later = wet(lens, 2.95)[18:50], wet(lens, 5.9)[18:50]
    assert fresh.sum() > 5 and not later.any()


def test_a_way_and_its_times_are_inverse() -> None:
    distances = np.array([0.5, 7.0, 19.0, 21.0, 95.0])
    assert travelled(RUN, reached(RUN, distances)) == pytest.approx(distances)


def test_a_sliding_drop_takes_up_those_it_meets() -> None:
    runs, rests = Drop(64, 15, 8, slide=RUN), Drop(66, 40, 8)
    both, alone = Raindrops((runs, rests)), Raindrops((runs,))
    aside = Raindrops((runs, replace(rests, x=100)))
    assert wet(both, 0.5)[40, 66]
    assert not wet(both, 5.8)[40 - 2, 66 - 8 : 66 + 8].any()  # run over, the glass behind is free
    assert wet(both, 5.8).sum() > 1.3 * wet(alone, 5.8).sum()
    assert wet(aside, 5.8)[40, 100]


def test_a_drop_taken_up_before_it_slides_never_does() -> None:
    runs, late = Drop(64, 15, 8, slide=RUN), Drop(70, 40, 8, slide=replace(RUN, start=30.0))
    beside_late = Drop(80, 70, 8)
    assert not wet(Raindrops((late, beside_late)), 60.0).any()
    left = wet(Raindrops((runs, late, beside_late)), 60.0)
    assert np.array_equal(left, wet(Raindrops((beside_late,))))


def test_drops_evaporate_and_arrive() -> None:
    lens = Raindrops((Drop(64, 48, 20, life=10.0),))
    areas = [int(wet(lens, time).sum()) for time in (0, 3, 6, 9)]
    assert areas[0] > areas[1] > areas[2] > areas[3] > 0
    assert areas[2] == pytest.approx(0.4 * areas[0], rel=0.1)  # the square of the radius falls evenly
    assert not wet(lens, 10.1).any()
    comes = Raindrops((Drop(64, 48, 20, born=2.0),))
    assert not wet(comes, 1.9).any() and wet(comes, 2.1).any()


def wiped_lens() -> Raindrops:
    drops = tuple(Drop(x, y, 5) for x in range(8, 128, 16) for y in range(8, 80, 16))
    blade = Wiper(first=1.0, period=4.0, sweep=1.0, x=64, y=110, length=200, begin=-math.pi, end=0.0, seed=3)
    return Raindrops(drops, Mist(60, 2.5, 0.1, 40, 0, seed=4), blade)


def test_behind_a_wiper_the_glass_is_clear() -> None:
    lens = wiped_lens()
    before, halfway, after = wet(lens, 0.99), wet(lens, 1.5), wet(lens, 2.01)
    assert np.array_equal(before, wet(lens, 0.0))
    assert not halfway[:, :40].any()  # the blade comes from the left and stands upright
    assert np.array_equal(halfway[:, 80:], before[:, 80:])
    assert not after.any()


def test_new_drops_come_until_the_next_wipe() -> None:
    lens = wiped_lens()
    shares = [wet(lens, time).mean() for time in (0.0, 3.01, 4.0, 4.99, 6.01, 8.5)]
    assert shares[1] < 0.02 < shares[2] < shares[3]
    assert shares[3] > 0.5 * shares[0]
    assert shares[4] < 0.02 < shares[5]
    assert not np.array_equal(wet(lens, 4.99), wet(lens, 8.99))
    assert np.array_equal(wet(lens, 400_004.99), wet(lens, 400_004.99))


def test_a_wiper_leaves_what_it_does_not_reach_and_takes_what_slides_in() -> None:
    blade = Wiper(first=1.0, period=2.0, sweep=0.5, x=64, y=96, length=40, begin=-math.pi, end=0.0, seed=3)
    still = Raindrops((Drop(64, 20, 6),), wiper=blade)
    assert wet(still, 30.9)[20, 64]
    runs = replace(still, drops=(Drop(64, 20, 6, slide=replace(RUN, pause=0.01, run=60)),))
    assert wet(runs, 2.9)[52:64].any()  # not in its reach when the sweep at 1.0 began
    assert not wet(runs, 3.6)[64:].any()  # taken by that at 3.0


@pytest.mark.parametrize(
    ("style", "kept", "edge"), [("dense", (0.25, 0.60), (3, 20)), ("soft", (0.35, 0.69), (4, 20))]
)
def test_the_presets_measure_as_real_drops_do(
    style: str, kept: tuple[float, float], edge: tuple[float, float]
) -> None:
    found = []
    for seed in range(5):
        clean = scene(320, 480, seed)
        rainy = apply(clean, sample(np.random.default_rng(seed), 320, 480, style)).image
        found.append(measure(rainy, clean))
    radius, contrast, veil, softness = (
        np.concatenate([getattr(one, name) for one in found])
        for name in ("radius", "contrast", "veil", "edge")
    )
    assert 0.29 <= np.mean([one.touched for one in found]) <= 0.51
    assert 8 <= np.median(radius) <= 20 and np.percentile(radius, 90) <= 60
    assert kept[0] <= np.median(contrast) <= kept[1]
    assert 0.40 <= np.median(veil) <= 0.78
    assert edge[0] <= np.median(softness) <= edge[1]


def test_statistics_find_what_was_put_there() -> None:
    noise = 0.5 + 0.15 * np.random.default_rng(0).standard_normal((128, 128, 1))
    clean = np.clip(noise, 0, 1).astype(np.float32).repeat(3, axis=2)
    y, x = np.indices((128, 128))
    alpha = np.clip((30 - np.hypot(x - 64, y - 64)) / 10, 0, 1).astype(np.float32)[..., None]
    found = measure(np.asarray(clean + 0.6 * alpha * (1 - clean), np.float32), clean)
    assert len(found.radius) == 1 and found.radius[0] == pytest.approx(28, abs=2)
    assert found.touched == pytest.approx(math.pi * 28**2 / 128**2, rel=0.15)
    assert found.contrast[0] == pytest.approx(0.5, abs=0.08)
    assert found.veil[0] == pytest.approx(1.0, abs=0.1)
    assert found.edge[0] == pytest.approx(6, abs=2)
