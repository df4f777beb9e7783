"""`derain bench usefulness` from clip to table: what is shown, what is counted, what is refused."""

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnx_models
import pytest
from clips import Clip, add_tone, write_tone
from detector_models import constant

from derain.benchmarks.usefulness.boxes import BoxWatcher
from derain.benchmarks.usefulness.command import look, table
from derain.benchmarks.usefulness.views import RGB, Take, Views, views
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.cli import run
from derain.train.degradations.compose import make
from derain.train.degradations.presets import preset


def walk(number: int, width: int, height: int) -> RGB:
    """Somebody walks across a still scene."""
    small = np.random.default_rng(6).integers(70, 110, (height // 4, width // 4, 3), np.uint8)
    picture = np.asarray(cv2.resize(small, (width, height)), np.uint8)
    left = 3 * (number - 30) % (width - 12)
    if number > 30:
        picture[height // 3 : height // 3 + 24, left : left + 12] = 235
    return picture


def drive(number: int, width: int, height: int) -> RGB:
    """A picture that passes by."""
    small = np.random.default_rng(2).integers(0, 256, (height // 4, width // 2, 3), np.uint8)
    wide = np.asarray(cv2.resize(small, (2 * width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.ascontiguousarray(wide[:, 4 * number % width :][:, :width])


def still_clip(folder: Path, frames: int = 46) -> Path:
    options = {"crf": "12"}
    return Clip(tuple(range(frames)), picture=walk, width=96, height=72, options=options).write(
        folder / "still.mp4"
    )


def road_clip(folder: Path) -> Path:
    return Clip(tuple(range(6)), picture=drive, width=128, height=96).write(folder / "road.mp4")


def bench(*words: object) -> int:
    return run(["bench", "usefulness", *(str(word) for word in words)])


def same(picture: RGB) -> RGB:
    return picture.copy()


class Kept:
    """Keeps what it is shown."""

    name, needs, note = "kept", 2, ""

    def __init__(self) -> None:
        self.moments: list[Views] = []

    def see(self, views: Views) -> None:
        self.moments.append(views)

    def rows(self) -> list[dict[str, Any]]:
        return []

    def sheet(self) -> list[RGB]:
        return []


def test_a_table_for_each_clip_and_rain_with_json_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still, road = still_clip(tmp_path), road_clip(tmp_path)
    model, figures, sheet = onnx_models.identity(tmp_path), tmp_path / "f.json", tmp_path / "s.png"
    wishes = ["--model", model, "--backend", "onnxruntime", "--json", figures, "--sheet", sheet]
    assert bench("--people", still, "--road", road, "--rain", "none", "--rain", "raindrops", *wishes) == 0
    told = capsys.readouterr().out
    assert told.startswith("model identity 1, onnxruntime fp32\n")
    heads = re.findall(r"^(\w+): (\w+)\.mp4, rain (\w+), seed 7$", told, re.MULTILINE)
    assert heads == [
        (watcher, clip, rain)
        for watcher, clip in (("people", "still"), ("matches", "road"))
        for rain in ("none", "raindrops")
    ]
    assert re.findall(r"^(clean|rainy|restored) ", told, re.MULTILINE) == ["clean", "rainy", "restored"] * 4
    written = json.loads(figures.read_text())
    assert written["model"]["name"] == "identity" and "cpu" in written["machine"]
    assert (written["frames"], written["every"], written["size"]) == (200, 1, None)
    dry, _, road_dry, road_wet = written["results"]
    for rows in (dry["views"], road_dry["views"]):
        assert [row | {"view": ""} for row in rows] == [rows[0] | {"view": ""}] * 3, "no rain, nothing lost"
    assert dry["views"][0]["reference"] >= 5 and dry["views"][1]["recall"] == 1.0
    assert road_wet["views"][1] != road_wet["views"][0] | {"view": "rainy"}
    assert road_wet["views"][2] == road_wet["views"][1] | {"view": "restored"}, "the network is the identity"
    picture = cv2.imread(str(sheet))
    assert picture is not None and picture.shape[1] == 3 * 480


def test_a_user_s_detector_looks_at_the_clip_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx_file = onnx_models.identity(tmp_path)
    detector = constant(tmp_path / "detector.onnx", [[4, 4, 30, 30, 0.9, 0]])
    road = road_clip(tmp_path)
    wishes = ["--road", road, "--rain", "none", "--model", onnx_file, "--backend", "onnxruntime"]
    assert bench(*wishes, "--detector", detector, "--frames", "3") == 0
    assert re.search(
        r"^detector: road.mp4.*\n.*\nclean +3 +3 +3 +3 +1\.00", capsys.readouterr().out, re.MULTILINE
    )


def test_rain_falls_by_the_frames_own_times(tmp_path: Path) -> None:
    """Times that jump, of a clip that begins late: the rain's clock begins with the first frame."""
    times = (50, 54, 80)
    clip = Clip(times, picture=walk, width=96, height=72).write(tmp_path / "c.mp4")
    shot = preset("rain100l").sample(np.random.default_rng(3), 72, 96)
    for time, moment in zip(times, views(Take(clip, 10), "rain100l", 3, same), strict=True):
        made = make(moment.clean.astype(np.float32) / np.float32(255), shot, (time - 50) / 25)
        wanted = (made.rainy.image * 255).round()
        assert np.abs(moment.rainy - wanted).max() <= 1
        assert (moment.rainy != moment.clean).any()


def test_the_seed_decides_where_it_rains(tmp_path: Path) -> None:
    take = Take(still_clip(tmp_path, 2), 2)
    first, again, other = (list(views(take, "rain100l", seed, same)) for seed in (3, 3, 4))
    assert all((a.rainy == b.rainy).all() for a, b in zip(first, again, strict=True))
    assert (first[0].rainy != other[0].rainy).any() and (first[0].clean == other[0].clean).all()


def test_every_nth_frame_at_a_size_of_ones_own(tmp_path: Path) -> None:
    clip = still_clip(tmp_path, 8)
    moments = list(views(Take(clip, 3, 2, (48, 36)), "none", 1, lambda picture: picture // 2))
    everything = list(views(Take(clip, 8), "none", 1, same))
    assert len(moments) == 3
    assert moments[0].clean.shape == (36, 48, 3)
    assert (moments[1].restored == moments[1].rainy // 2).all()
    wanted = cv2.resize(everything[4].clean, (48, 36), interpolation=cv2.INTER_AREA)
    assert np.abs(moments[2].clean.astype(int) - wanted).max() <= 1


def test_deep_clips_are_looked_at_in_eight_bits(tmp_path: Path) -> None:
    deep = Clip(tuple(range(3)), picture=walk, width=96, height=72, codec="ffv1", pixel_format="yuv420p10le")
    shallow = Clip(tuple(range(3)), picture=walk, width=96, height=72, codec="ffv1")
    pair = [
        next(views(Take(clip.write(tmp_path / name), 1), "none", 1, same))
        for clip, name in ((deep, "deep.mkv"), (shallow, "shallow.mkv"))
    ]
    assert all(view.clean.dtype == np.uint8 for view in pair)
    assert np.abs(pair[0].clean.astype(int) - pair[1].clean).max() <= 3


def test_a_callable_of_ones_own_looks_through_python(tmp_path: Path) -> None:
    mine = BoxWatcher("mine", lambda: lambda frame: [[0, 0, 10, 10]] if frame.max() > 200 else [])
    look(Take(still_clip(tmp_path), 46), "none", 1, lambda picture: picture // 4, [mine])
    clean, rainy, restored = mine.rows()
    assert clean["found"] == rainy["found"] == 15
    assert (clean["recall"], restored["recall"], restored["precision"]) == (1.0, 0.0, None)


def test_a_clip_with_too_few_frames_says_how_many_it_takes(tmp_path: Path) -> None:
    clip = Clip((0,), picture=walk, width=96, height=72).write(tmp_path / "one.mp4")
    with pytest.raises(DerainError, match=r"one\.mp4 gave 1 frames, and kept needs 2 or more"):
        look(Take(clip, 10), "none", 1, same, [Kept()])


def test_a_file_without_pictures_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        write_tone(output, add_tone(output, "aac", "eng"), Fraction(0), 0.2, 300)
    with pytest.raises(UsageError, match=r"sound\.mp4 has no video stream"):
        look(Take(path, 5), "none", 1, same, [Kept()])


def test_figures_that_say_nothing_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wall without detail, on which nothing moves."""
    flat = Clip(
        tuple(range(42)), picture=lambda number, width, height: np.full((height, width, 3), 90, np.uint8)
    )
    clip, figures = flat.write(tmp_path / "wall.mp4"), tmp_path / "f.json"
    model = onnx_models.identity(tmp_path)
    wishes = ["--rain", "none", "--model", model, "--backend", "onnxruntime", "--json", figures]
    assert bench("--people", clip, "--road", clip, *wishes) == 0
    told = capsys.readouterr().out
    assert "people found no box on the clean frames" in told
    assert "no two clean frames have the 20 matches" in told
    people, matches = json.loads(figures.read_text())["results"]
    assert people["views"][0]["recall"] is None and people["note"]
    assert (matches["views"][0]["pairs"], matches["views"][0]["left_out"]) == (0, 41)


def test_the_table_lines_up_and_has_a_dash_for_nothing() -> None:
    rows = [{"view": "clean", "found": 12, "recall": 1.0}, {"view": "rainy", "found": 0, "recall": None}]
    assert table(rows).splitlines() == [
        "view     found  recall",
        "clean       12    1.00",
        "rainy        0       -",
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--people", "missing.avi"], "there is no file missing.avi"),
        (["--rain", "hail"], "there is no rain 'hail'; there is none, "),
        (["--frames", "5"], "--frames 5 is too few: people needs 41 or more"),
        (["--size", "63x48"], "--size takes"),
        (["--json", "no/such/folder.json"], "there is no folder no/such"),
        (["--sheet", "no/such/folder.png"], "there is no folder no/such"),
        (["--sheet", "."], ". is a folder; give the name of a file in it"),
        (["--road", ""], "--road is empty"),
        (["--detector", "missing.onnx"], "there is no detector missing.onnx"),
        (["--model", "missing.onnx"], "missing.onnx"),
    ],
)
def test_what_cannot_be_looked_at_is_a_usage_error(
    tmp_path: Path, line: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--people", still_clip(tmp_path, 2), *line) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1


def test_without_a_clip_it_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DERAIN_DATA", raising=False)
    assert bench() == 2
    told = capsys.readouterr().err
    assert "give --people CLIP" in told and "--road CLIP" in told and "DERAIN_DATA" in told


def test_the_data_folder_has_the_clips_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DERAIN_DATA", str(tmp_path))
    assert bench() == 2
    assert f"there is no file {tmp_path / 'clips' / 'vtest.avi'}" in capsys.readouterr().err
