"""A cut takes exactly what lies between start and end, from every stream, and moves all of it alike."""

from fractions import Fraction
from pathlib import Path

import media
import numpy as np
import pytest
from clips import Clip
from passing import pass_through

from derain.engines.errors import UsageError
from derain.pipeline.sources.cut import clock, make_cut
from derain.pipeline.sources.file import FileSource

WHOLE = Clip(
    times=range(0, 100 * 512, 512),
    time_base=Fraction(1, 12800),
    options={"bf": "3", "g": "30"},
    audio=["eng"],
    subtitles=[0.5, 1.1, 3.0],
    chapters=[(0, 1, "one"), (1, 2, "two"), (2, 4, "three")],
)


@pytest.mark.parametrize(
    "start, duration", [(Fraction(1), Fraction(1)), (1.2, None), (None, 0.5), (2.84, 0.4)]
)
def test_pictures_and_sound_are_cut_alike(
    start: Fraction | float | None, duration: Fraction | float | None, tmp_path: Path
) -> None:
    rainy = WHOLE.write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4", start=start, duration=duration)
    before, after = media.read(rainy), media.read(tmp_path / "clean.mp4")
    first = before.times[0] if start is None else Fraction(start).limit_denominator(1000)
    last = Fraction(100) if duration is None else first + Fraction(duration).limit_denominator(1000)
    assert after.times == [t - first for t in before.times if first <= t < last]
    kept = [
        (t, p)
        for t, p in before.others()[0].packets
        if t is not None and t < last and t >= (first if start else -1)
    ]
    found = after.others()[0].packets
    assert [p for _, p in found] == [p for _, p in kept]
    for (time, _), (was, _) in zip(found, kept, strict=True):
        assert time is not None and abs(time - (was - first)) <= Fraction(1, 2 * 44100)


def test_the_pictures_of_a_cut_are_the_same_as_without_it(tmp_path: Path) -> None:
    rainy = WHOLE.write(tmp_path / "rainy.mp4")
    with FileSource(rainy) as whole, FileSource(rainy, start=1.3, duration=0.6) as part:
        wanted = [f for f in whole if f.time is not None and 1.3 <= f.time < 1.9]
        found = list(part)
    assert len(found) == len(wanted) == 15
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(found, wanted, strict=True))


def test_subtitles_and_chapters_follow(tmp_path: Path) -> None:
    rainy = WHOLE.write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4", start=Fraction(4, 5), duration=Fraction(3, 2))
    after = media.read(tmp_path / "clean.mp4")
    shown = [t for t, payload in after.others()[1].packets if len(payload) > 2]
    assert shown == [Fraction(0), Fraction(3, 10)]  # 0.5 to 1.0 is still shown at 0.8; 1.1
    assert [(float(a), float(b), title) for a, b, title in after.chapters] == [
        (0.0, 0.2, "one"),
        (0.2, 1.2, "two"),
        (1.2, 1.5, "three"),
    ]


def test_a_cut_counts_from_the_files_own_beginning(tmp_path: Path) -> None:
    late = Clip(times=range(450000, 540000, 3600), time_base=Fraction(1, 90000), options={"g": "5"})
    rainy = late.write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4", start=0.4, duration=0.2)
    assert media.read(tmp_path / "clean.mp4").times == [5 + Fraction(n, 25) for n in range(5)]


def test_a_cut_of_what_cannot_seek_begins_at_the_right_picture(tmp_path: Path) -> None:
    rainy = Clip(times=range(80), options={"g": "200", "bf": "2"}).write(tmp_path / "rainy.ts")
    with FileSource(rainy) as whole, FileSource(rainy, start=2) as part:
        wanted = [f.pixels for f in whole][50:]
        found = [f.pixels for f in part]
    assert len(found) == 30
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    "start, duration, words",
    [(-1, None, "start"), (None, 0, "duration"), (None, -2, "duration"), (100, None, "behind the end")],
)
def test_impossible_cuts_are_refused(
    start: float | None, duration: float | None, words: str, tmp_path: Path
) -> None:
    rainy = Clip().write(tmp_path / "rainy.mp4")
    with pytest.raises(UsageError, match=words):
        FileSource(rainy, start=start, duration=duration)


def test_a_truncated_file_is_whole_for_a_cut_before_its_end(tmp_path: Path) -> None:
    rainy = Clip(times=range(60), options={"g": "10"}).write(tmp_path / "rainy.mkv")
    with rainy.open("r+b") as file:
        file.truncate(int(rainy.stat().st_size * 0.8))
    with FileSource(rainy, duration=0.4) as source:
        assert len(list(source)) == 10
    assert source.shortfall is None


def test_shifts_are_whole_ticks() -> None:
    cut = make_cut(Fraction(0), Fraction(1, 90000), 1.00001, None)
    assert (cut.shift / Fraction(1, 90000)).denominator == 1


def test_times_are_written_as_people_do() -> None:
    assert [clock(t) for t in (0, 0.4, 59.9996, Fraction(3723, 1), 1.5)] == [
        "0:00:00.000",
        "0:00:00.400",
        "0:01:00.000",
        "1:02:03.000",
        "0:00:01.500",
    ]


def test_a_cut_between_two_ticks_puts_nothing_before_zero(tmp_path: Path) -> None:
    """Matroska refuses chapters there."""
    rainy = Clip(time_base=Fraction(1, 25), chapters=[(0, 0.4, "one")]).write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mkv", start=Fraction("0.06"))
    after = media.read(tmp_path / "clean.mkv")
    assert after.times[0] >= 0 and len(after.times) == 10
    assert after.chapters[0][0] >= 0


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_cut_of_a_file_that_begins_before_zero_begins_at_zero(ending: str, tmp_path: Path) -> None:
    """Its sound does; pictures moved there are lost in most formats."""
    rainy = Clip(audio=["eng"]).write(tmp_path / "rainy.ts")
    with FileSource(rainy) as source:
        assert source.origin < 0
    pass_through(rainy, tmp_path / f"clean{ending}", start=Fraction("0.1"))
    times = media.read(tmp_path / f"clean{ending}").times
    assert len(times) == 9 and times[0] == Fraction("0.02")
