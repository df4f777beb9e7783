"""`derain bench background` on tiny photographs."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import rainy_scene

from derain.benchmarks.background import Setup, by_luma, chosen, means, measure, median, video
from derain.engines.errors import DerainError
from derain.pipeline.cli import run
from derain.train.degradations.presets import preset


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        picture = np.roll(rainy_scene.scene(64, 48), number * 12, axis=1)
        assert cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
    return folder


def setup(photos: Path, noise: float = 2.0, count: int = 2) -> Setup:
    return Setup(photos, (preset("rain100l"), preset("rain1400")), count, 20, None, noise, 5)


def test_ours_is_nearer_than_median_mode_and_luma(photos: Path) -> None:
    made = setup(photos)
    measured = [measure(made, number, photo) for number, photo in enumerate(chosen(made))]
    assert [one.rain for one in measured] == ["rain100l", "rain1400"]
    summed = means(measured)
    others = [summed["psnr"][name] for name in ("median", "mode", "by luma")]
    assert summed["psnr"]["ours"] > max(others) > summed["rainy"]
    assert summed["psnr"]["ours"] > 40


def test_the_same_seed_makes_the_same_video_and_another_number_another(photos: Path) -> None:
    made, clean = setup(photos), rainy_scene.scene(64, 48)
    first = video(clean, made.rains[0], made, 0)
    assert first.shape == (20, 48, 64, 3)
    assert np.array_equal(first, video(clean, made.rains[0], made, 0))
    assert not np.array_equal(first, video(clean, made.rains[0], made, 1))
    assert not np.array_equal(first[0], first[1])
    assert chosen(made) == chosen(made)


def test_by_luma_takes_colours_that_were_there() -> None:
    frames = rainy_scene.sequence(20, noise=4.0)
    picked = by_luma(frames)
    assert (picked[None] == frames).all(axis=-1).any(axis=0).all()
    assert not (median(frames)[None] == frames).all(axis=-1).any(axis=0).all()


def test_equal_pictures_are_counted_and_not_averaged(photos: Path) -> None:
    made = setup(photos, noise=0.0, count=1)
    one = measure(made, 0, chosen(made)[0])
    assert math.isinf(one.psnr["ours"])
    assert means([one])["equal"]["ours"] == 1


def test_the_command_prints_a_table_and_writes_json(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--photos", photos, "--count", 1, "--frames", 20, "--size", "48x32", "--noise", 0]
    words += ["--rain", "rain100l", "--json", tmp_path / "figures.json"]
    assert run(["bench", "background", *map(str, words)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:7] == ["photograph", "rain", "rainy", "median", "mode", "by", "luma"]
    assert "equal" in table[1]
    assert table[2].startswith("mean of 1 ")
    assert table[-1] == "Wang et al. 2019, Table 1: rainy 25.40, background 51.40"
    told = json.loads((tmp_path / "figures.json").read_text())
    assert told["videos"][0]["psnr"]["ours"] is None
    assert told["setup"]["size"] == [48, 32]
    assert told["paper"] == {"rainy": 25.40, "background": 51.40}


def test_a_photograph_smaller_than_the_size_is_named(photos: Path) -> None:
    made = Setup(photos, (preset("rain100l"),), 1, 20, (65, 10), 2.0, 5)
    with pytest.raises(DerainError, match="has 64x48 pixels, fewer than the 65x10 of --size"):
        measure(made, 0, chosen(made)[0])


@pytest.mark.parametrize(
    "words, told",
    [
        (("--count", "9"), "has 3 pictures, --count asks for 9"),
        (("--rain", "frogs"), "no rain 'frogs'"),
        (("--size", "wide"), "--size takes WIDTHxHEIGHT"),
        (("--frames", "3"), "--frames takes a whole number from 20 to 1000, not '3'"),
        (("--noise", "-1"), "--noise takes a number from 0 to 50, not '-1'"),
        (("--json", "nowhere/figures.json"), "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: tuple[str, str], told: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "background", "--photos", str(photos), *words]) == 2
    assert told in capsys.readouterr().err


def test_without_photographs_it_says_where_to_name_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DERAIN_DATA", raising=False)
    assert run(["bench", "background"]) == 2
    assert "--photos" in capsys.readouterr().err
