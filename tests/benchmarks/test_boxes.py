"""Boxes: what overlaps, what is the same thing, how it is counted, and what moves before a still camera."""

from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
from data_folder import data_folder

from derain.benchmarks.usefulness.boxes import Boxes, BoxWatcher, MovingPeople, Tally, checked, overlaps, pair
from derain.benchmarks.usefulness.views import RGB, Views
from derain.engines.errors import DerainError
from derain.pipeline.source import open_source


def boxes(*rows: tuple[float, ...]) -> Boxes:
    return checked(np.array(rows))


def test_the_overlap_is_intersection_over_union() -> None:
    first = boxes((0, 0, 10, 10))
    second = boxes((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10), (2, 2, 4, 4), (7, 7, 3, 3))
    assert overlaps(first, second)[0] == pytest.approx([1, 50 / 150, 0, 4 / 100, 0])


def test_boxes_of_two_classes_are_two_things() -> None:
    assert pair(boxes((0, 0, 10, 10, 1)), boxes((0, 0, 10, 10, 2))) == []
    assert pair(boxes((0, 0, 10, 10, 2)), boxes((0, 0, 10, 10, 2))) == [(0, 0)]


def test_the_greatest_overlap_is_paired_first_and_only_once() -> None:
    reference = boxes((0, 0, 10, 10), (2, 0, 12, 10))
    found = boxes((2, 0, 12, 10), (3, 0, 13, 10))
    # found[0] fits both; it is reference[1] exactly, and what is left of reference[0] overlaps 7/13.
    assert pair(reference, found) == [(1, 0), (0, 1)]
    assert pair(reference, found, least=0.6) == [(1, 0)]
    assert pair(reference, boxes((2, 0, 12, 10))) == [(1, 0)]


def test_half_an_overlap_is_enough_and_less_is_not() -> None:
    reference = boxes((0, 0, 10, 10))
    assert pair(reference, boxes((0, 0, 10, 5))) == [(0, 0)]
    assert pair(reference, boxes((0, 0, 10, 4.9))) == []


def test_recall_and_precision_are_of_all_frames_together() -> None:
    tally = Tally()
    tally.add(boxes((0, 0, 9, 9), (20, 20, 29, 29)), boxes((0, 0, 9, 9)))
    tally.add(boxes((0, 0, 9, 9)), boxes((0, 0, 9, 9), (40, 0, 49, 9), (60, 0, 69, 9)))
    assert (tally.reference, tally.found, tally.matched) == (3, 4, 2)
    assert (tally.recall, tally.precision, tally.f1) == (2 / 3, 2 / 4, 4 / 7)


def test_shares_of_nothing_are_none() -> None:
    nothing = Tally()
    nothing.add(checked([]), checked([]))
    assert (nothing.recall, nothing.precision, nothing.f1) == (None, None, None)
    nothing.add(checked([]), boxes((0, 0, 9, 9)))
    assert (nothing.recall, nothing.precision) == (None, 0.0)


@pytest.mark.parametrize(
    "found", [np.zeros((2, 3)), np.zeros(4), np.full((1, 4), np.nan), np.zeros((1, 2, 4))]
)
def test_what_is_no_list_of_boxes_is_named(found: npt.NDArray[np.float64]) -> None:
    with pytest.raises(DerainError, match=r"gave boxes of shape \(.*\(N, 4\)"):
        checked(found)


def scene(number: int, at: int | None = 3) -> RGB:
    """A still 96x72 texture; a bright block of 12x24 walks across it, `at` pixels a frame; None: nobody."""
    picture = np.random.default_rng(5).integers(60, 100, (72, 96, 3), np.uint8)
    if at is not None:
        left = 4 + (at * number) % 72
        picture[30:54, left : left + 12] = 230
    return picture


def test_what_moves_before_a_still_camera_is_a_box() -> None:
    people = MovingPeople()
    for number in range(20):
        found = people(scene(number, None))
    assert found.shape == (0, 5)
    for number in range(3):
        (walker,) = people(scene(number))
        left = 4 + 3 * number
        assert walker == pytest.approx([left, 30, left + 12, 54, 0], abs=2)


def test_shadows_and_specks_are_no_people() -> None:
    """A shadow dims the same colours; a dot is below the size of a box; a moving block is neither."""
    people = MovingPeople()
    ground = np.full((240, 320, 3), 120, np.uint8)
    for _ in range(20):
        people(ground)
    scene = ground.copy()
    scene[20:100, 20:100] = 80
    scene[150:156, 50:56] = 255
    scene[150:200, 200:230] = 255
    (block,) = people(scene)
    assert block == pytest.approx([200, 150, 230, 200, 0], abs=2)


def test_each_view_is_judged_by_the_clean_one_after_the_warm_up() -> None:
    """Rainy frames hide the walker; the clean row is 1.00 by a detector of its own."""
    watcher = BoxWatcher("people", MovingPeople, warm_up=10)
    for number in range(20):
        clean = scene(number)
        watcher.see(Views(clean, scene(number, None), clean))
    clean_row, rainy, restored = watcher.rows()
    assert clean_row["view"] == "clean" and clean_row["frames"] == 10 and clean_row["reference"] >= 10
    assert (clean_row["recall"], clean_row["precision"]) == (1.0, 1.0)
    assert (rainy["matched"], rainy["recall"], rainy["precision"]) == (0, 0.0, None)
    assert (restored["recall"], restored["precision"]) == (1.0, 1.0)


def test_each_view_has_a_detector_of_its_own_and_the_warm_up_does_not_count() -> None:
    """This one says how often it was called; called in turns for all views it would say something else."""

    class Counter:
        calls = 0

        def __call__(self, frame: RGB) -> list[list[int]]:
            self.calls += 1
            return [[self.calls, 0, self.calls + 1, 1]] * (1 if self.calls > 2 else 5)

    watcher = BoxWatcher("counter", Counter, warm_up=2)
    for _ in range(4):
        watcher.see(Views(scene(0), scene(0), scene(0)))
    for row in watcher.rows():
        assert (row["frames"], row["reference"], row["found"], row["matched"]) == (2, 2, 2, 2)


def test_any_callable_is_a_detector() -> None:
    """One that learns nothing: the place of what is bright, as plain lists."""

    def bright(frame: RGB) -> list[list[int]]:
        rows, columns = np.nonzero(frame[..., 1] > 200)
        return [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else []

    watcher = BoxWatcher("bright", lambda: bright)
    watcher.see(Views(scene(0), scene(0, None), scene(0)))
    assert [row["recall"] for row in watcher.rows()] == [1.0, 0.0, 1.0]


def test_the_sheet_draws_the_fullest_frame_green_red_and_blue() -> None:
    green, red, blue = (40, 220, 60), (255, 50, 40), (70, 120, 255)
    here, there = [10, 10, 30, 30], [50, 10, 70, 30]
    by_level = {0: [here, there], 1: [here, [50, 50, 70, 70]], 2: [here, there]}
    watcher = BoxWatcher("three", lambda: lambda frame: by_level[int(frame[0, 0, 0])])
    views = [np.full((80, 96, 3), level, np.uint8) for level in range(3)]
    watcher.see(Views(*views))
    rainy, restored, clean = watcher.sheet()
    assert [tuple(rainy[at]) for at in ((10, 20), (50, 60), (10, 60))] == [green, red, blue]
    assert [tuple(picture[10, 60]) for picture in (restored, clean)] == [green, green]
    assert (views[1] == 1).all(), "drawn on a copy"


@pytest.mark.data
def test_the_people_of_a_surveillance_clip_are_found() -> None:
    """Five to seven walk about in the first seconds of vtest.avi, some of them as pairs or behind a sign."""
    people = MovingPeople()
    with open_source(data_folder() / "clips" / "vtest.avi") as source:
        found = [people(frame.pixels.astype(np.uint8, copy=False)) for frame in islice(source, 60)]
    counted = found[MovingPeople.warm_up :]
    assert all(3 <= len(boxes) <= 6 for boxes in counted)
    sides = np.concatenate(counted)[:, 2:4] - np.concatenate(counted)[:, :2]
    assert (sides[:, 1] > sides[:, 0]).mean() > 0.8, "people stand"
