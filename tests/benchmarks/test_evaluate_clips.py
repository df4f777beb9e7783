"""`derain evaluate` on clips: frames matched by their times, flicker, bounded memory."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from clips import Clip, picture
from rainy_sets import RAIN, darker, evaluate, psnr, rained, scene, write

from derain.benchmarks.evaluation.films import ClipCase, Matched, Still
from derain.benchmarks.evaluation.sets import Choice, find
from derain.engines.errors import UsageError
from derain.pipeline.cli import run
from derain.train.evaluate import RGB
from derain.train.held_out.manifest import SetRecipe, write_manifest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return onnx_models.identity(tmp_path)


def frames(folder: Path, *pictures: RGB) -> None:
    for number, one in enumerate(pictures):
        write(folder / f"{number:03d}.png", one)


def test_a_clip_of_frames_has_flicker(tmp_path: Path, model: Path) -> None:
    """Rain in each second frame of a moving scene: the error steps by RAIN on a quarter of the pixels."""
    clean = [scene(n) for n in range(4)]
    frames(tmp_path / "set" / "clean" / "walk", *clean)
    frames(tmp_path / "set" / "rainy" / "walk", clean[0], rained(clean[1]), clean[2], rained(clean[3]))
    still = darker(tmp_path, 10, "still")
    (row,) = evaluate(model, tmp_path / "set", "--against", still)
    (clip,) = row["pictures"]
    assert (clip["name"], clip["kind"], clip["frames"]) == ("walk", "clip", 4)
    assert row["rainy_flicker"] == row["flicker"] == pytest.approx(RAIN * 219 / 255 / 4)
    assert row["against"]["still"]["flicker"] == pytest.approx(row["flicker"])
    # Its frames without rain count for clean pictures; the clip's PSNR is that of the others.
    assert row["rainy"]["psnr_y"] == pytest.approx(psnr(RAIN, 1 / 4))
    assert row["no_harm"]["pictures"] == 2


def test_the_pictures_of_a_set_are_a_clip_where_the_user_says_so(tmp_path: Path, model: Path) -> None:
    frames(tmp_path / "walk" / "clean", scene(0), scene(1))
    frames(tmp_path / "walk" / "rainy", scene(0), rained(scene(1)))
    (row,) = evaluate(model, tmp_path / "walk", "--frames")
    assert [(p["name"], p["frames"]) for p in row["pictures"]] == [("walk", 2)]
    assert row["flicker"] == pytest.approx(RAIN * 219 / 255 / 4)


def test_a_benchmark_set_is_its_sets_and_its_moving_ones_are_clips(tmp_path: Path, model: Path) -> None:
    """The manifest says which are which."""
    place = tmp_path / "held-out"
    recipes = []
    for name, times in (("drops", ()), ("moving-drops", (0.0, 0.04))):
        frames(place / name / "clean", scene(0), scene(1))
        frames(place / name / "rainy", scene(0), rained(scene(1)))
        recipes.append(SetRecipe(name, "rain", (), 2, times))
    write_manifest(place, 7, (), (), tuple(recipes))
    stills, moving = evaluate(model, place)
    assert [stills["title"], stills["pairs"], stills["clips"]] == ["drops", 2, 0]
    assert [moving["title"], moving["pairs"], moving["clips"]] == ["moving-drops", 1, 1]
    assert evaluate(model, place / "moving-drops")[0]["flicker"] == moving["flicker"] > 0


def film(path: Path, times: range, made: Callable[[int, int, int], RGB] = picture) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Clip(times=list(times), options={"qp": "0"}, picture=made).write(path)


def test_frames_of_videos_are_matched_by_their_times(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clean one begins two frames later and has three more at its end; Matroska counts milliseconds."""
    rainy, clean = (tmp_path / "set" / twin for twin in ("rainy", "clean"))
    film(rainy / "a.mp4", range(10))
    film(clean / "a.mkv", range(2, 13), lambda n, width, height: picture(n + 2, width, height))
    (row,) = evaluate(model, tmp_path / "set")
    (clip,) = row["pictures"]
    assert clip["frames"] == 8 and row["clips"] == 1
    assert clip["dry"]  # each lies beside itself
    assert clip["note"] == (
        "2 frames of rainy/a.mp4 without a twin, the first at 0:00:00.000; "
        "3 frames of clean/a.mkv without a twin, the first at 0:00:00.400"
    )
    assert "without a twin" in capsys.readouterr().out


def test_clips_that_share_no_time_are_an_error(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rainy = film(tmp_path / "rainy.mp4", range(0, 5))
    clean = film(tmp_path / "clean.mp4", range(100, 105))
    assert run(["evaluate", str(model), "--clip", str(rainy), str(clean)]) == 1
    assert "no frame of" in capsys.readouterr().err


def test_a_clip_has_its_mask_from_the_set(tmp_path: Path, model: Path) -> None:
    for twin in ("rainy", "clean"):
        film(tmp_path / "set" / twin / "a.mp4", range(3))
    film(tmp_path / "set" / "mask" / "a.mp4", range(3), half_white)
    (row,) = evaluate(model, tmp_path / "set")
    assert row["masks"] == "set" and row["rain_share"] == 0.5


def half_white(number: int, width: int, height: int) -> RGB:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = 255
    return picture


class Endless:
    """A film that counts the frames it gave."""

    path, given = Path("film"), 0

    def size(self) -> tuple[int, int]:
        return 1, 1

    def __iter__(self) -> Iterator[Still]:
        for number in range(10**9):
            self.given += 1
            yield Still(Fraction(number), "", np.zeros((1, 1, 3), np.uint8))

    def note(self) -> str:
        return ""

    def close(self) -> None: ...


def test_films_are_read_frame_by_frame() -> None:
    """However long they are, no frame is taken before its turn."""
    films = [Endless(), Endless()]
    for count, _ in enumerate(Matched(films), 1):
        assert [film.given for film in films] == [count, count]
        if count == 5:
            break


def test_clips_without_a_twin_are_named(tmp_path: Path) -> None:
    film(tmp_path / "set" / "rainy" / "a.mp4", range(3))
    film(tmp_path / "set" / "clean" / "b.mp4", range(3))
    with pytest.raises(UsageError, match=r"2 clips of .*set have no twin: a, b"):
        find(tmp_path / "set", Choice())


def test_a_clip_of_two_sizes_is_a_fault(tmp_path: Path) -> None:
    frames(tmp_path / "rainy", scene(0), scene(1, 30, 40))
    frames(tmp_path / "clean", scene(0), scene(1))
    assert "001.png is 40x30 where" in ClipCase("x", tmp_path / "rainy", tmp_path / "clean").fault()
