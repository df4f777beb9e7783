"""Where a video does not go on: cuts, gaps and damage; and where it does, however fast or irregular."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from data_folder import data_folder

from derain.engines.engine import Pixels
from derain.pipeline.continuity import Continuity, is_cut, thumbnail
from derain.pipeline.frame import Frame
from derain.pipeline.sources.file import FileSource


def grey(level: int = 100) -> Pixels:
    return np.full((24, 32, 3), level, np.uint8)


def breaks(frames: Iterable[Frame]) -> list[int]:
    """The numbers of those frames that begin something new."""
    continuity = Continuity()
    return [number for number, frame in enumerate(frames) if continuity.broken_at(frame)]


def at(stamps: Sequence[int | None]) -> list[Frame]:
    return [Frame(grey(), pts, Fraction(1, 1000)) for pts in stamps]


def after(durations: Sequence[int]) -> list[Frame]:
    return at([0, *np.cumsum(durations).tolist()])


def shown(*levels: int) -> list[Frame]:
    return [Frame(grey(level), None, Fraction(1)) for level in levels]


def test_a_cut_is_found_where_it_is() -> None:
    assert breaks(shown(90, 92, 94, 160, 161, 162, 80, 81)) == [3, 6]


def test_a_camera_swung_about_is_no_row_of_cuts() -> None:
    """Every frame is 25 levels from the one before; only where that begins it may be a cut."""
    assert breaks(shown(20, 45, 70, 95, 120, 145, 170)) == [1]


@pytest.mark.parametrize(
    ("difference", "before", "cut"),
    [
        (0.32, 0.012, True),
        (0.187, 0.067, True),
        (0.074, 0.066, False),
        (0.02, 0.0, False),
        (0.2, 0.15, False),
    ],
)
def test_what_is_a_cut(difference: float, before: float, cut: bool) -> None:
    """The first four are from videos: two cuts, a fast ride through a wood, a car."""
    assert is_cut(difference, before) is cut


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (37, 5), (89, 91), (180, 180), (720, 1280)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_thumbnails_of_any_size_and_depth(size: tuple[int, int], dtype: type[np.uint8 | np.uint16]) -> None:
    picture = np.full((*size, 3), np.iinfo(dtype).max // 5, dtype)
    small = thumbnail(picture)
    assert small.shape == (18, 32)
    assert np.abs(small - 0.2).max() < 0.01


def test_a_gap_is_found_and_what_follows_goes_on() -> None:
    assert breaks(after([40] * 5 + [80] + [40] * 5)) == [6]


def test_time_that_runs_back_is_a_break() -> None:
    assert breaks(at([0, 40, 80, 40, 80, 120])) == [3]


def test_a_slower_rate_is_one_gap() -> None:
    assert breaks(after([33, 33, 34] * 6 + [67] * 20 + [33] * 10)) == [19]


@pytest.mark.parametrize(
    "durations",
    [[33, 50] * 10, [33, 33, 34, 33] * 5, [30, 36, 33, 41, 28] * 4, [1] * 10],
    ids=["film at 60 Hz", "milliseconds", "a phone", "ticks of a frame"],
)
def test_irregular_times_are_no_gaps(durations: Sequence[int]) -> None:
    assert not breaks(after(durations))


def test_frames_without_times_have_no_gaps() -> None:
    assert not breaks(at([0, 40, None, None, 400, 440]))


def test_what_comes_after_damage_is_new() -> None:
    frames = at(range(0, 400, 40))
    for number in (3, 4, 7):
        frames[number].held = True
    assert breaks(frames) == [5, 8]


@pytest.mark.parametrize(
    ("clip", "seconds", "cuts"),
    [
        ("bikes.mp4", 10, [30, 76, 137, 187, 242]),
        ("carphone_pristine.mp4", 3, []),
        ("solidWhiteRight.mp4", 3, []),
    ],
)
def test_cuts_of_real_videos(clip: str, seconds: int, cuts: list[int]) -> None:
    with FileSource(data_folder() / "clips" / clip, duration=seconds) as source:
        assert breaks(source) == cuts
