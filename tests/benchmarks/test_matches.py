"""Matches: known motions give the geometry back, and rain that hides the scene takes matches away."""

import cv2
import numpy as np
import pytest

from derain.benchmarks.usefulness.matches import (
    Count,
    Features,
    Geometry,
    MatchWatcher,
    Points,
    found_again,
    geometry,
    matched,
    sampson,
    transfer,
)
from derain.benchmarks.usefulness.views import RGB, Views

CAMERA = np.array([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]])


def cross(x: float, y: float, z: float) -> Points:
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def scene(step: tuple[float, float, float], count: int = 60) -> tuple[Points, Points, Points]:
    """Points of a scene 4 to 12 away seen before and after the camera's `step`, and the true fundamental."""
    rng = np.random.default_rng(3)
    world = np.column_stack([rng.uniform(-2, 2, (count, 2)), rng.uniform(4, 12, count)])
    seen = [(shifted @ CAMERA.T)[:, :2] / shifted[:, 2:] for shifted in (world, world - step)]
    inverse = np.linalg.inv(CAMERA)
    return seen[0], seen[1], inverse.T @ cross(*(-np.array(step))) @ inverse


def test_true_matches_lie_on_their_epipolar_lines() -> None:
    before, after, fundamental = scene((0.5, 0.1, 0.3))
    assert sampson(fundamental, before, after).max() < 1e-9


def test_the_sampson_distance_is_in_pixels() -> None:
    """A camera that goes sideways has level epipolar lines; 3 pixels off them are shared by both ends."""
    before, after, fundamental = scene((1, 0, 0))
    assert sampson(fundamental, before, after + np.array((7, 0))).max() < 1e-9
    assert sampson(fundamental, before, after + np.array((0, 3))) == pytest.approx(np.full(60, 3 / 2**0.5))


def test_the_transfer_distance_is_in_pixels() -> None:
    turned = np.array([[1.0, 0.02, 5], [-0.02, 1, -3], [1e-4, 0, 1]])
    before = np.random.default_rng(1).uniform(0, 100, (30, 2))
    moved = np.column_stack([before, np.ones(30)]) @ turned.T
    after = moved[:, :2] / moved[:, 2:]
    assert transfer(turned, before, after + np.array((3, 4))) == pytest.approx(np.full(30, 5.0))


def test_the_geometry_is_found_among_false_matches_and_the_same_each_time() -> None:
    before, after, _ = scene((0.4, 0.1, 0.6))
    wrong = np.random.default_rng(8).uniform(0, 100, (15, 2))
    all_before, all_after = np.concatenate([before, before[:15]]), np.concatenate([after, wrong])
    found, again = geometry(all_before, all_after), geometry(all_before, all_after)
    assert found is not None and again is not None
    assert np.percentile(sampson(found.fundamental, before, after), 90) < 0.5
    assert (found.fundamental == again.fundamental).all() and (found.homography == again.homography).all()


def test_too_few_matches_tell_no_geometry() -> None:
    before, after, _ = scene((0.4, 0.1, 0.6), count=19)
    assert geometry(before, after) is None


def test_false_matches_tell_no_geometry() -> None:
    before, after = np.random.default_rng(4).uniform(0, 100, (2, 40, 2))
    assert geometry(before, after) is None


def test_a_mark_on_the_lens_of_a_camera_that_goes_ahead_is_told_by_standing_still() -> None:
    """It agrees with the fundamental matrix, which is why that share is not enough."""
    before, after, fundamental = scene((0, 0, 2))
    far = np.linalg.norm(after - before, axis=1) > 4
    assert far.sum() > 30
    count = Count()
    marks, truth = (before[far], before[far]), Geometry(fundamental, np.diag([1.5, 1.5, 1]))
    assert count.add(truth, marks, (before[far], after[far])).all()
    assert count.still == count.matches == count.true == far.sum()
    assert count.again == 0


def test_a_clean_match_is_found_again_where_both_ends_are_near() -> None:
    clean = np.array([[10.0, 10], [50, 10], [90, 10]]), np.array([[14.0, 10], [54, 10], [94, 10]])
    view = np.array([[11.0, 10], [50, 10]]), np.array([[15.0, 10], [50, 10]])
    assert found_again(clean, view).tolist() == [True, False, False]
    assert found_again(clean, (view[0][:0], view[1][:0])).tolist() == [False] * 3
    assert len(found_again((clean[0][:0], clean[1][:0]), view)) == 0


def test_ambiguous_points_are_not_matched() -> None:
    """Two descriptors nearly as near, 10 and 12: neither is trusted (the ratio test)."""
    here = Features(np.zeros((2, 2)), np.eye(2, 128, dtype=np.float32) * 100)
    aside = np.eye(1, 128, 9, dtype=np.float32)[0]
    twins = here.descriptors[[0, 0, 1]] + aside * np.array([[10], [12], [0]], np.float32)
    before, after = matched(here, Features(np.array([[1.0, 1], [2, 2], [3, 3]]), twins))
    assert after.tolist() == [[3.0, 3.0]] and len(before) == 1
    assert len(matched(here, Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32)))[0]) == 0


def blobs(height: int, width: int, seed: int) -> RGB:
    """Blobs of every colour, some 4 pixels wide: many points to find again."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def frame(number: int) -> RGB:
    """A picture that passes by, 5 pixels a frame."""
    return np.ascontiguousarray(blobs(96, 200, seed=2)[:, 5 * number : 5 * number + 128])


def test_what_the_rain_hides_is_missing_from_its_matches_and_comes_back_when_restored() -> None:
    watcher = MatchWatcher()
    for number in range(3):
        clean = frame(number)
        rainy = clean.copy()
        rainy[:, 40:] = cv2.GaussianBlur(clean, (0, 0), 9)[:, 40:]
        watcher.see(Views(clean, rainy, clean))
    clean_row, rainy_row, restored = watcher.rows()
    assert (clean_row["pairs"], clean_row["left_out"]) == (2, 0)
    assert clean_row["kept"] == 1.0 and clean_row["fundamental"] > 0.9 and clean_row["homography"] > 0.9
    assert 0 < rainy_row["agreeing"] < 0.6 * clean_row["agreeing"]
    assert 0 < rainy_row["kept"] < 0.6
    assert {**restored, "view": ""} == {**clean_row, "view": ""}
    assert clean_row["still"] < 0.1


def test_marks_that_stand_still_before_a_moving_scene_do_not_agree_with_its_homography() -> None:
    watcher = MatchWatcher()
    for number in range(3):
        marked = frame(number)
        marked[20:76, 30:90] = blobs(56, 60, seed=9)
        watcher.see(Views(frame(number), marked, frame(number)))
    clean, rainy, _ = watcher.rows()
    assert rainy["still"] > clean["still"] + 0.2 and rainy["kept"] < clean["kept"] - 0.2
    assert rainy["homography"] < clean["homography"] - 0.2


def test_pairs_without_geometry_are_left_out_and_counted() -> None:
    watcher = MatchWatcher()
    flat = np.full((64, 64, 3), 90, np.uint8)
    for _ in range(3):
        watcher.see(Views(flat, flat, flat))
    assert watcher.rows()[0] | {"view": ""} == {
        "view": "",
        "pairs": 0,
        "left_out": 2,
        **dict.fromkeys(("matches", "agreeing", "kept", "fundamental", "homography", "still")),
    }
    assert watcher.sheet() == []


def test_the_sheet_shows_three_pictures_with_lines() -> None:
    watcher = MatchWatcher()
    for number in range(2):
        watcher.see(Views(frame(number), frame(number), frame(number)))
    rainy, restored, clean = watcher.sheet()
    assert rainy.shape == (96, 128, 3)
    assert (rainy == restored).all() and (rainy == clean).all()
    assert ((clean == (40, 220, 60)).all(axis=2)).sum() > 20
