"""The held-out set: the same bytes on every run, told in a manifest that finds what changed."""

import json
from pathlib import Path

import clips
import cv2
import numpy as np
import pytest
from data_folder import data_folder

from derain.engines.errors import DerainError, UsageError
from derain.engines.quality import psnr
from derain.pipeline.cli import run
from derain.train.datasets import read_pairs, read_rgb
from derain.train.held_out import build as benchmark_set
from derain.train.held_out.build import MOVING, STILLS, BenchmarkJob, build, held_out
from derain.train.held_out.clips import read_clip
from derain.train.held_out.manifest import check
from derain.train.recipe import DataRecipe


def photo(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    return path


def contrasts(number: int, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    small = np.random.default_rng(3).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.roll(np.asarray(cv2.resize(small, (width, height)), np.uint8), number, axis=1)


def job(folder: Path, name: str = "set", seed: int = 7) -> BenchmarkJob:
    photos = tuple(photo(folder / "photos" / f"{n}.png", n) for n in range(2))
    clip = folder / "clip.mp4"
    if not clip.exists():
        clips.Clip(times=(0, 1, 4), picture=contrasts).write(clip)
    return BenchmarkJob(folder / name, photos, (clip,), seed)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkJob:
    folder = tmp_path_factory.mktemp("benchmark")
    built = job(folder)
    build(built)
    return built


def test_two_runs_give_the_same_bytes(made: BenchmarkJob) -> None:
    parent = made.folder.parent
    build(job(parent, "again"))
    first, again, other = ((parent / name / "manifest.json") for name in ("set", "again", "other"))
    assert first.read_bytes() == again.read_bytes()
    for path in made.folder.rglob("*.png"):
        assert path.read_bytes() == (parent / "again" / path.relative_to(made.folder)).read_bytes()
    build(job(parent, "other", seed=8))
    assert json.loads(first.read_text())["digest"] != json.loads(other.read_text())["digest"]


def test_every_set_has_its_pairs(made: BenchmarkJob) -> None:
    names = {path.name for path in made.folder.iterdir()}
    assert names == {kind.name for kind in (*STILLS, *MOVING)} | {"manifest.json"}
    for kind in STILLS:
        assert [pair.name for pair in read_pairs(made.folder / kind.name)] == ["0", "1"]
    for kind in MOVING:
        assert [pair.name for pair in read_pairs(made.folder / kind.name)] == ["00001", "00002", "00003"]


def test_drops_are_as_strong_as_real_ones_and_clean_is_clean(made: BenchmarkJob) -> None:
    for pair in read_pairs(made.folder / "drops"):
        assert 16.9 < psnr(read_rgb(pair.rainy), read_rgb(pair.clean), 255) < 24.1
    for pair in read_pairs(made.folder / "clean"):
        assert (read_rgb(pair.rainy) == read_rgb(pair.clean)).all()


def test_a_clean_twin_at_night_is_in_the_light_of_the_rainy_one(made: BenchmarkJob) -> None:
    for pair in read_pairs(made.folder / "night"):
        rainy, night = read_rgb(pair.rainy).astype(int), read_rgb(pair.clean).astype(int)
        day = read_rgb(made.folder / "clean/clean" / f"{pair.name}.png").astype(int)
        assert 2 * np.abs(rainy - night).mean() < np.abs(rainy - day).mean()


def test_every_photo_has_its_own_rain(tmp_path: Path) -> None:
    twins = tuple(photo(tmp_path / "photos" / name, 1) for name in ("a.png", "b.png"))
    build(BenchmarkJob(tmp_path / "set", twins))
    for kind in STILLS:
        a, b = ((tmp_path / "set" / kind.name / "rainy" / path.name).read_bytes() for path in twins)
        assert (a == b) == (kind.name == "clean")


def test_streaks_fall_through_a_clip(tmp_path: Path) -> None:
    still = clips.Clip(times=(0, 1), picture=lambda number, w, h: contrasts(0, w, h))
    clip = still.write(tmp_path / "still.mp4")
    build(BenchmarkJob(tmp_path / "set", (photo(tmp_path / "a.png", 1),), (clip,)))
    first, second = read_pairs(tmp_path / "set/moving-streaks")
    scene = np.abs(read_rgb(second.clean) - read_rgb(first.clean).astype(int)).mean()
    rain = np.abs(read_rgb(second.rainy) - read_rgb(first.rainy).astype(int)).mean()
    assert rain > 2 * scene + 2


def test_the_manifest_tells_what_was_made_of_what(made: BenchmarkJob) -> None:
    told = json.loads((made.folder / "manifest.json").read_text())
    assert told["seed"] == 7 and told["derain"]
    assert [photo["name"] for photo in told["photos"]] == ["0.png", "1.png"]
    assert all(len(origin["sha256"]) == 64 for origin in (*told["photos"], *told["clips"]))
    streaks = next(one for one in told["sets"] if one["name"] == "moving-streaks")
    assert streaks["times"] == [0, 0.04, 0.16] and streaks["origins"] == ["clip.mp4"] and streaks["how"]
    first = told["files"][0]
    assert (first["width"], first["height"]) == (64, 48)
    assert first["bytes"] == (made.folder / first["path"]).stat().st_size
    assert str(made.folder.parent) not in json.dumps(told)


def test_another_photo_changes_no_picture_of_the_others(made: BenchmarkJob, tmp_path: Path) -> None:
    fewer = BenchmarkJob(tmp_path / "fewer", made.photos[1:], (), 7)
    build(fewer)
    for kind in STILLS:
        assert not (fewer.folder / kind.name / "rainy/0.png").exists()
        alone, beside = (folder / kind.name / "rainy/1.png" for folder in (fewer.folder, made.folder))
        assert alone.read_bytes() == beside.read_bytes()


def test_check_names_all_that_is_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = job(tmp_path)
    build(BenchmarkJob(small.folder, small.photos[:1]))
    arguments = ["benchmark-set", str(small.folder), "--check"]
    assert run(arguments) == 0
    assert "18 files as the manifest says" in capsys.readouterr().out
    photo(small.folder / "drops/rainy/0.png", 9)
    (small.folder / "dirt/mask/0.png").unlink()
    (small.folder / "notes.txt").touch()
    assert run(arguments) == 1
    said = capsys.readouterr().err
    assert "changed: drops/rainy/0.png; missing: dirt/mask/0.png; not in it: notes.txt" in said
    (small.folder / "manifest.json").write_text('{"version": 1}')
    assert run(arguments) == 2
    assert "manifest.json lacks " in capsys.readouterr().err
    with pytest.raises(UsageError, match="is not a benchmark set"):
        check(tmp_path)


def test_the_command_takes_photos_and_clips(made: BenchmarkJob, tmp_path: Path) -> None:
    photos, clip = made.photos[0].parent, made.clips[0]
    arguments = ["benchmark-set", str(tmp_path / "set"), "--photos", str(photos), "--clip", str(clip)]
    assert run([*arguments, "--no-progress"]) == 0
    assert (tmp_path / "set/manifest.json").read_bytes() == (made.folder / "manifest.json").read_bytes()


def test_held_out_photos_are_those_the_recipe_does_not_train_on(tmp_path: Path) -> None:
    for number in range(5):
        photo(tmp_path / "photos" / f"{number}.png", number)
    found = held_out(DataRecipe(("photos",), {}, hold_out=2), tmp_path)
    assert [path.name for path in found] == ["0.png", "2.png", "4.png"]


def test_what_can_not_be_done_is_told_before_the_work(made: BenchmarkJob, tmp_path: Path) -> None:
    folder, bad = tmp_path / "set", tmp_path / "bad.png"
    bad.write_text("no picture")
    twice = photo(tmp_path / "more/0.jpg", 1)
    one_frame = clips.Clip(times=(0,)).write(tmp_path / "still.mp4")
    for wrong, sentence in (
        (BenchmarkJob(made.folder, made.photos), "set exists; name a new folder"),
        (BenchmarkJob(folder, ()), "needs photos"),
        (BenchmarkJob(folder, (*made.photos, bad)), r"bad\.png is not a picture"),
        (BenchmarkJob(folder, (*made.photos, twice)), r"0\.jpg would give pairs of the same name"),
        (BenchmarkJob(folder, made.photos, made.clips * 4), "3 clips at most, not 4"),
        (BenchmarkJob(folder, made.photos, (one_frame,)), r"still\.mp4 has 1 pictures"),
    ):
        with pytest.raises(UsageError, match=sentence):
            build(wrong)
    assert not folder.exists()


def test_a_photo_on_which_no_drops_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain.png"
    assert cv2.imwrite(str(plain), np.full((32, 32, 3), 128, np.uint8))
    monkeypatch.setattr(benchmark_set, "TRIES", 2)
    monkeypatch.setattr(benchmark_set, "REAL_DROPS", (1.0, 2.0))
    with pytest.raises(DerainError, match=r"plain\.png: none of 2 draws of drops has a PSNR of 1 to 2 dB"):
        build(BenchmarkJob(tmp_path / "set", (plain,)))
    assert [path.name for path in tmp_path.iterdir()] == ["plain.png"]


def test_no_clips_at_all_say_how_to_name_one(
    made: BenchmarkJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DERAIN_DATA", raising=False)
    assert run(["benchmark-set", str(tmp_path / "set"), "--photos", str(made.photos[0].parent)]) == 2
    assert "--clip" in capsys.readouterr().err


@pytest.mark.data
def test_the_data_folder_has_clips_for_the_moving_sets() -> None:
    found = read_clip(data_folder() / "clips/solidWhiteRight.mp4")
    assert len(found.pictures) == 30 and found.pictures[0].shape == (270, 480, 3)
    assert found.times[25] == 1.0
