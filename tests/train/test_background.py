"""Equations 2 to 4 by hand, what is measured of a background, and what counts as motion."""

import errno
from typing import Any

import numpy as np
import pytest
import rainy_scene

from derain.engines.errors import DerainError
from derain.engines.quality import psnr
from derain.train.background.measures import agreement, measure
from derain.train.background.motion import Region, Watch, frames_in_a_row, regions
from derain.train.background.ranks import Crossings, background, find_ranking, mode, mode_ranks, ordered
from derain.train.background.store import FrameStore
from derain.train.background.video import whole


def series(*pixels: list[int]) -> Any:
    """(N, P) frames of the pixels' values in time."""
    return np.array(pixels, np.uint8).T


def best(*pixels: list[int]) -> Any:
    """The ranking of these pixels."""
    crossings = Crossings(len(pixels[0]))
    crossings.add(ordered(series(*pixels)))
    return crossings.best()


def test_the_mode_is_the_most_frequent_value_the_darkest_of_equals() -> None:
    frames = series([9, 5, 7, 5, 200, 5], [8, 30, 8, 30, 90, 91], [4, 4, 4, 4, 4, 4])
    assert mode(frames).tolist() == [5, 8, 4]


def test_the_range_counts_values_below_the_mode_and_up_to_it() -> None:
    first, after = mode_ranks(ordered(series([20, 10, 20, 90, 20, 11], [7, 7, 1, 2, 3, 4])))
    assert first.tolist() == [2, 4]
    assert after.tolist() == [5, 6]


def test_sixteen_bits_are_compared_by_their_upper_eight() -> None:
    frames = np.array([[0x1210], [0x1234], [0x12FF], [0x3000], [0x3000]], np.uint16)
    first, after = mode_ranks(ordered(frames))
    assert (first.tolist(), after.tolist()) == ([0], [3])


def test_the_rank_lies_in_most_ranges() -> None:
    # the modes of these pixels have the ranks 0-2, 1-3, 0-1 and 3-4
    ranking = best([5, 5, 60, 5, 70], [4, 9, 80, 9, 9], [1, 70, 1, 60, 50], [50, 1, 2, 3, 50])
    assert (ranking.rank, ranking.frames) == (1, 5)
    assert ranking.percentile == pytest.approx(30)
    assert ranking.crossed == pytest.approx(3 / 4)


def test_of_equally_good_ranks_the_middle_is_taken() -> None:
    assert best([5, 5, 5, 5, 5, 60, 70]).rank == 2


def test_white_does_not_draw_the_rank_up() -> None:
    wet = [40, 40, 40, 90, 120, 99]
    sky = [250, 251, 252, 255, 255, 255]
    assert best(wet, sky, sky, sky).rank == 1
    assert best(sky).rank == 4, "where all is white, white decides"


def test_the_background_beats_median_and_mode_in_noise_and_rain() -> None:
    frames, clean = rainy_scene.sequence(60, noise=2.0, many=500), rainy_scene.scene()
    made, ranking = background(frames)
    plain = psnr(mode(frames), clean, 255)
    middle = psnr(np.median(frames, axis=0), clean, 255)
    assert psnr(frames[0], clean, 255) < 20
    assert psnr(made, clean, 255) > max(plain + 3, middle + 5, 45)
    assert 10 < ranking.percentile < 45


def test_without_noise_the_background_is_exact_and_keeps_no_frames() -> None:
    made, _ = background(rainy_scene.sequence(30))
    assert np.array_equal(made, rainy_scene.scene())
    assert made.base is None


def test_parts_of_a_picture_give_the_ranking_of_the_whole() -> None:
    frames = rainy_scene.sequence(21, noise=3.0)
    whole = background(frames)[1]
    assert find_ranking((frames[:, top : top + 7] for top in range(0, 120, 7)), 21) == whole


def test_halves_that_differ_agree_less() -> None:
    frames = rainy_scene.sequence(24).reshape(24, -1, 3)
    assert agreement(frames) == float("inf")
    later = frames.copy()
    later[12:] += 10  # light that changes half-way
    assert agreement(later) == pytest.approx(20 * np.log10(255 / 10))
    flicker = frames.copy()
    flicker[::2] += 4
    assert agreement(flicker) <= 20 * np.log10(255 / 4) + 1e-9


def test_noise_of_a_camera_is_measured_as_what_it_is() -> None:
    few = measure(rainy_scene.sequence(20, noise=6.0).reshape(20, -1, 3))
    many = measure(rainy_scene.sequence(100, noise=6.0).reshape(100, -1, 3))
    assert few.agreement < 38
    assert many.agreement > 40
    assert (few.clean, many.clean) == (False, True)


def test_rain_left_is_found_where_some_frames_are_clearly_darker() -> None:
    frames = np.full((20, 100, 3), 60, np.uint8)
    frames[:, :8] = 120  # always under rain but in three frames
    frames[[2, 9, 15], :8] = 60
    measured = measure(frames)
    assert measured.left == pytest.approx(0.08)
    assert not measured.clean


def test_rain_is_told_by_share_brightness_and_length() -> None:
    frames = np.full((40, 50, 3), 60, np.uint8)
    frames[3:5, :10] = 100  # two frames long
    frames[10, :20] = 100  # one frame long
    rain = measure(frames).rain
    assert rain.share == pytest.approx(40 / 2000)
    assert rain.brightness == pytest.approx(40)
    assert rain.frames == pytest.approx(40 / 30)
    assert measure(np.full((20, 9, 3), 60, np.uint8)).rain.share == 0


@pytest.mark.parametrize("in_memory", [10, 1 << 30])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_come_back_in_bands_as_they_were(in_memory: int, dtype: Any) -> None:
    frames = np.random.default_rng(1).integers(0, 250, (6, 11, 5, 3)).astype(dtype)
    with FrameStore(in_memory=in_memory, band=6 * 5 * 3 * 4) as store:
        for frame in frames:
            store.append(frame[:, ::-1])
        bands = list(store.bands())
    assert [rows.start for rows, _ in bands] == list(range(0, 11, 4 if dtype == np.uint8 else 2))
    assert np.array_equal(np.concatenate([band for _, band in bands], axis=1), frames[:, :, ::-1])


def test_what_moves_does_not_decide_the_rank_of_the_rest() -> None:
    frames = np.full((20, 6, 10, 3), 60, np.uint8)
    frames[8:, :, :4] = 90  # wet: dry in eight frames, and brighter by turns
    frames[8:, :, :4] += np.arange(12, dtype=np.uint8)[:, None, None, None]
    frames[:12, :, 4:] = np.arange(12, dtype=np.uint8)[:, None, None, None]  # something dark passes
    moving = np.zeros((6, 10), np.bool_)
    moving[:, 4:] = True
    with FrameStore(band=20 * 10 * 3 * 2) as store:
        for frame in frames:
            store.append(frame)
        drawn, ranking = whole(store, np.zeros_like(moving))
        picture, without = whole(store, moving)
    assert (ranking.rank >= 12, without.rank < 8) == (True, True)
    assert (drawn[:, :4] > 90).all()
    assert (picture[:, :4] == 60).all()
    assert without.crossed == 1


def test_no_room_for_frames_is_told_with_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with FrameStore() as store:
        store.append(np.zeros((8, 8, 3), np.uint8))
        monkeypatch.setattr(store._file, "write", full)
        with pytest.raises(DerainError, match=r"has no room for 2 frames \(0\.0 GiB\); set TMPDIR"):
            store.append(np.zeros((8, 8, 3), np.uint8))


def watch(frames: Any) -> Watch:
    """A watch that saw these frames."""
    watched = Watch(frames.shape[2], frames.shape[1])
    for frame in frames:
        watched.add(frame)
    return watched


@pytest.mark.parametrize("many", [0, 40, 200])
def test_rain_is_no_motion(many: int) -> None:
    watched = watch(rainy_scene.sequence(30, noise=1.5, many=many))
    assert watched.camera() is None
    assert not watched.moving().any()


@pytest.mark.parametrize("shade", [20, 230])
def test_what_walks_through_is_found_where_it_walks(shade: int) -> None:
    frames = rainy_scene.sequence(30)
    for number, frame in enumerate(frames):
        frame[80:100, 20 + 2 * number : 32 + 2 * number] = shade
    watched = watch(frames)
    assert watched.camera() is None
    (found,) = regions(watched.moving())
    for edge, true in ((found.left, 20), (found.right, 89)):
        assert abs(edge - true) <= 10
    for edge, true in ((found.top, 80), (found.bottom, 99)):
        assert abs(edge - true) <= 4


@pytest.mark.parametrize("step", [0.05, 0.7, 9])
def test_a_camera_that_moves_is_found(step: float) -> None:
    wide = rainy_scene.scene(480, 120)
    lefts = [round(number * step) for number in range(30)]
    shifted = np.stack([rainy_scene.rainy(n, wide[:, left : left + 160]) for n, left in enumerate(lefts)])
    shift = watch(shifted).camera()
    assert shift is not None
    if step < 5:  # else nothing is found again
        assert shift.pixels == pytest.approx(lefts[-4] - lefts[7], abs=max(0.2, step))


def test_rain_that_covers_more_is_given_more_frames() -> None:
    rows = [frames_in_a_row(covered, 300) for covered in (0.01, 0.1, 0.2, 0.6)]
    assert rows == sorted(rows)
    assert (rows[0], rows[-1]) == (5, 25)
    assert frames_in_a_row(0.6, 20) == 20


@pytest.mark.parametrize(
    "region, name",
    [
        (Region(120, 40, 340, 160), "upper left, x 120-340, y 40-160"),
        (Region(1500, 500, 1700, 560), "middle right, x 1500-1700, y 500-560"),
        (Region(900, 900, 1000, 1079), "lower middle, x 900-1000, y 900-1079"),
        (Region(900, 500, 1000, 560), "centre, x 900-1000, y 500-560"),
        (Region(0, 0, 1919, 1000), "whole picture, x 0-1919, y 0-1000"),
    ],
)
def test_regions_are_named_as_people_would(region: Region, name: str) -> None:
    assert region.name(1920, 1080) == name
