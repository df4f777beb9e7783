"""`derain background` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import rainy_scene
from clips import Clip
from data_folder import data_folder

from derain.engines.quality import psnr
from derain.pipeline.cli import run
from derain.train.background import video as background_video
from derain.train.background.store import FrameStore

Command = Callable[..., int]


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """Thirty frames of rain over a still scene."""
    return rainy_scene.write(tmp_path / "still.mkv", rainy_scene.sequence(30))


def background(*words: Any) -> int:
    return run(["background", *map(str, words)])


def read(path: Path) -> rainy_scene.RGB:
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    return np.asarray(picture if picture.ndim == 2 else picture[..., ::-1])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str]:
    """Exit code and the one sentence on stderr."""
    code = background(*words)
    (sentence,) = capsys.readouterr().err.splitlines()
    return code, sentence


def test_a_still_scene_comes_out_clean(
    still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert background(still, tmp_path / "clean.png") == 0
    assert np.array_equal(read(tmp_path / "clean.png"), rainy_scene.scene())
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("20 frames: rain on ")
    assert "halves are equal, rain left at 0.00 % of the pixels" in told[0]
    assert told[-1].endswith("clean.png: clean by its measures (40 dB or more, 0.1 % or less) with 20 frames")
    assert names(tmp_path) == ["clean.png", "still.mkv"]


def test_bands_and_a_file_give_what_memory_gives(
    still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert background(still, tmp_path / "whole.png", "--frames", 25) == 0
    monkeypatch.setattr(
        background_video, "FrameStore", lambda: FrameStore(in_memory=1, band=25 * 160 * 3 * 7)
    )
    assert background(still, tmp_path / "banded.png", "--frames", 25) == 0
    assert (tmp_path / "banded.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


def test_frames_are_added_until_it_is_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = rainy_scene.write(tmp_path / "noisy.mkv", rainy_scene.sequence(60, noise=5.0, many=20))
    assert background(video, tmp_path / "clean.png", "--density", "sparse", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    *attempts, end = events
    assert [event["frames"] for event in attempts] == [20, 30, 40, 50, 60][: len(attempts)]
    assert len(attempts) > 1
    assert [event["clean"] for event in attempts] == [False] * (len(attempts) - 1) + [True]
    assert attempts[-1]["agreement_db"] >= 40 > attempts[0]["agreement_db"]
    assert (end["event"], end["status"], end["converged"], end["density"]) == ("end", "done", True, "sparse")
    assert end["frames"] == attempts[-1]["frames"]
    assert 0 < end["percentile"] < 60
    assert end["files"] == [str(tmp_path / "clean.png")]
    picture = read(tmp_path / "clean.png")
    assert psnr(picture, rainy_scene.scene(), 255) > 42


def test_what_does_not_get_clean_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = rainy_scene.write(tmp_path / "noisy.mkv", rainy_scene.sequence(24, noise=12.0, many=20))
    assert background(video, tmp_path / "clean.png", "--density", "dense") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("24 frames: ")
    assert "(dense rain)" in told[1]
    assert "clean.png: NOT clean yet by its measures" in told[-1]


@pytest.mark.parametrize("many, density", [(20, "sparse"), (100, "normal"), (500, "dense")])
def test_the_density_is_told_from_the_rain(
    many: int, density: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = rainy_scene.write(tmp_path / "rain.mkv", rainy_scene.sequence(22, many=many))
    assert background(video, tmp_path / "clean.png", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["density"] == density


def test_a_turned_video_comes_out_as_it_is_shown(tmp_path: Path) -> None:
    pictures = rainy_scene.sequence(20)
    clip = Clip(
        times=range(20),
        width=rainy_scene.WIDTH,
        height=rainy_scene.HEIGHT,
        options={"crf": "5"},
        picture=lambda number, width, height: pictures[number],
        edit=lambda stream: stream.set_display_rotation(90),
    )
    assert background(clip.write(tmp_path / "turned.mp4"), tmp_path / "clean.png") == 0
    shown = np.rot90(rainy_scene.scene())
    assert psnr(read(tmp_path / "clean.png"), shown, 255) > 25
    assert psnr(read(tmp_path / "clean.png"), np.rot90(shown, 2), 255) < 20


def walker(frames: rainy_scene.RGB) -> rainy_scene.RGB:
    """A dark block walks along the lower left of the frames."""
    for number, frame in enumerate(frames):
        frame[85:105, 4 + number : 24 + number] = 15
    return frames


def test_what_walks_through_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = rainy_scene.write(tmp_path / "walk.mkv", walker(rainy_scene.sequence(30)))
    code, sentence = refused(capsys, video, tmp_path / "clean.png", "--frames", 30)
    assert code == 1
    assert "the scene moves in 1 region: lower left, x " in sentence
    assert "--mask-moving" in sentence
    assert names(tmp_path) == ["walk.mkv"]


def test_what_walks_through_is_masked_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = rainy_scene.write(tmp_path / "walk.mkv", walker(rainy_scene.sequence(30)))
    assert background(video, tmp_path / "clean.png", "--frames", 30, "--mask-moving") == 0
    mask = read(tmp_path / "clean-mask.png")
    assert mask.shape == (rainy_scene.HEIGHT, rainy_scene.WIDTH)
    assert set(np.unique(mask).tolist()) == {0, 255}
    assert (mask[87:103, 14:44] == 0).all()
    assert (mask[:70] == 255).all() and (mask[:, 70:] == 255).all()
    still = mask == 255
    assert np.array_equal(read(tmp_path / "clean.png")[still], rainy_scene.scene()[still])
    assert "moving, left out in" in capsys.readouterr().out
    assert names(tmp_path) == ["clean-mask.png", "clean.png", "walk.mkv"]


def test_a_scene_that_stands_still_has_a_mask_of_nothing(still: Path, tmp_path: Path) -> None:
    assert background(still, tmp_path / "clean.png", "--mask-moving") == 0
    assert (read(tmp_path / "clean-mask.png") == 255).all()


def test_a_moving_camera_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = rainy_scene.scene(240, rainy_scene.HEIGHT)
    panned = np.stack([rainy_scene.rainy(n, wide[:, n : n + rainy_scene.WIDTH]) for n in range(25)])
    video = rainy_scene.write(tmp_path / "pan.mkv", panned)
    code, sentence = refused(capsys, video, tmp_path / "clean.png", "--mask-moving")
    assert code == 1
    assert "the camera moves by " in sentence
    assert names(tmp_path) == ["pan.mkv"]


def test_all_moving_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = rainy_scene.sequence(30)
    dimmed = np.stack([frame // 3 if 10 <= number < 22 else frame for number, frame in enumerate(frames)])
    video = rainy_scene.write(tmp_path / "lamp.mkv", dimmed)
    code, sentence = refused(capsys, video, tmp_path / "clean.png", "--mask-moving", "--frames", 30)
    assert code == 1
    assert "nearly all of the scene moves or changes its light" in sentence


def test_too_few_frames_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = rainy_scene.write(tmp_path / "short.mkv", rainy_scene.sequence(7))
    code, sentence = refused(capsys, short, tmp_path / "clean.png")
    assert (code, sentence) == (2, f"derain: {short} has 7 frames; a background takes 20 or more")
    assert names(tmp_path) == ["short.mkv"]


@pytest.mark.parametrize(
    "words, told",
    [
        (("--frames", "31"), "has 30 frames, --frames asks for 31; say 30 or fewer"),
        (("--start", "0.8"), "has 10 frames from 0:00:00.800 on; a background takes 20 or more"),
        (("--start", "9"), "lies behind the end"),
        (("--frames", "19"), "--frames takes a whole number from 20 to 2000, not '19'"),
        (("--density", "wet"), "'wet' is not one of"),
    ],
)
def test_what_the_video_has_not_is_refused(
    words: tuple[str, ...], told: str, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, sentence = refused(capsys, still, tmp_path / "clean.png", *words)
    assert code == 2
    assert told in sentence
    assert names(tmp_path) == ["still.mkv"]


@pytest.mark.parametrize(
    "content, told", [(None, "there is no file"), (b"", "is empty"), (b"rain" * 99, "is not a video")]
)
def test_an_unreadable_video_is_refused(
    content: bytes | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "video.mp4"
    if content is not None:
        video.write_bytes(content)
    code, sentence = refused(capsys, video, tmp_path / "clean.png")
    assert code == 2
    assert told in sentence


def test_a_video_without_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.avi"
    with av.open(str(empty), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        output.start_encoding()
    code, sentence = refused(capsys, empty, tmp_path / "clean.png")
    assert code == 2
    assert "has no pictures" in sentence


@pytest.mark.parametrize(
    "output, told",
    [
        ("clean.jpg", "has the ending '.jpg'; a background is written without loss: .png, .tif, .tiff"),
        ("clean", "has the ending ''"),
        ("nowhere/clean.png", "there is no folder"),
        ("there.png", "exists; say --overwrite"),
    ],
)
def test_outputs_that_cannot_be_are_refused(
    output: str, told: str, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.png").write_bytes(b"mine")
    code, sentence = refused(capsys, still, tmp_path / output)
    assert code == 2
    assert told in sentence
    assert names(tmp_path) == ["still.mkv", "there.png"]
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_a_mask_that_exists_is_not_replaced_unasked(
    still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clean-mask.png").write_bytes(b"mine")
    code, sentence = refused(capsys, still, tmp_path / "clean.png", "--mask-moving")
    assert code == 2
    assert "clean-mask.png exists" in sentence
    assert background(still, tmp_path / "clean.png", "--mask-moving", "--overwrite") == 0
    assert names(tmp_path) == ["clean-mask.png", "clean.png", "still.mkv"]


def test_with_json_a_refusal_is_the_end_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = rainy_scene.write(tmp_path / "short.mkv", rainy_scene.sequence(3))
    assert background(short, tmp_path / "clean.png", "--json") == 2
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["event"], event["status"], event["exit_code"]) == ("end", "failed", 2)
    assert "3 frames" in event["message"]


def clips_folder() -> Path:
    return data_folder() / "clips"


@pytest.mark.data
def test_people_who_walk_are_reported_with_their_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, sentence = refused(capsys, clips_folder() / "vtest.avi", tmp_path / "clean.png", "--frames", 40)
    assert code == 1
    assert "the scene moves in " in sentence
    assert "centre, x " in sentence


@pytest.mark.data
def test_a_dashcam_is_refused_as_a_moving_camera(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = clips_folder() / "solidWhiteRight.mp4"
    code, sentence = refused(capsys, video, tmp_path / "clean.png", "--frames", 50)
    assert code == 1
    assert "the camera moves" in sentence
