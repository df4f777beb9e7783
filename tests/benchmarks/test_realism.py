"""derain bench realism: gains counted right, the expert marked, published pairs beside, and mistakes told."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from derain.benchmarks import realism
from derain.benchmarks.peers.critic import RGB, Critic
from derain.engines.errors import DerainError, UsageError
from derain.engines.quality import luma, psnr
from derain.pipeline.cli import run
from derain.train.degradations.presets import preset


@dataclass(frozen=True)
class Blur:
    """A critic that smooths: thin streaks on a smooth picture vanish."""

    name: str = "Blur"
    judges: tuple[str, ...] = ("rain100l",)

    def restore(self, rainy: RGB) -> RGB:
        return np.asarray(cv2.medianBlur(rainy, 5), np.uint8)


@dataclass(frozen=True)
class Nothing:
    """A critic that sees no rain."""

    name: str = "Nothing"
    judges: tuple[str, ...] = ("rain100h",)

    def restore(self, rainy: RGB) -> RGB:
        return rainy


def panel(peers: Path) -> Sequence[Critic]:
    return Blur(), Nothing()


def smooth(height: int = 60, width: int = 80) -> RGB:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x, y, x + y], axis=2).astype(np.uint8) + 40


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with three photos and two published pairs, before a panel of two."""
    monkeypatch.setattr(realism, "PANELS", (panel,))
    monkeypatch.delenv("DERAIN_DATA", raising=False)
    photos, pairs = tmp_path / "photos" / "bsds500", tmp_path / "pairs" / "rain100L"
    for folder in (photos, pairs / "rainy", pairs / "clean"):
        folder.mkdir(parents=True)
    for index in range(3):
        cv2.imwrite(str(photos / f"{index}.png"), smooth() + 10 * index)
    for index in range(2):
        rainy = smooth()
        rainy[:, 30 + 20 * index] = 200
        cv2.imwrite(str(pairs / "rainy" / f"{index}.png"), rainy)
        cv2.imwrite(str(pairs / "clean" / f"{index}.png"), smooth())
    return tmp_path


def test_the_table_has_every_critic_on_every_rain_that_the_panel_knows(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = data / "figures.json"
    arguments = [
        "bench",
        "realism",
        "--data",
        str(data),
        "--count",
        "2",
        "--size",
        "40",
        "--json",
        str(figures),
    ]
    assert run(arguments) == 0
    verdicts = json.loads(figures.read_text())["verdicts"]
    found = [(v["rain"], v["critic"], v["expert"], v["published"], v["pictures"]) for v in verdicts]
    assert found == [
        ("pairs/rain100L", "Blur", True, True, 2),
        ("pairs/rain100L", "Nothing", False, True, 2),
        ("rain100l", "Blur", True, False, 2),
        ("rain100l", "Nothing", False, False, 2),
        ("rain100h", "Blur", False, False, 2),
        ("rain100h", "Nothing", True, False, 2),
    ]
    assert all(v["gain"] == 0 for v in verdicts if v["critic"] == "Nothing")
    assert all(v["gain"] > 1 for v in verdicts if v["rain"].lower().endswith("rain100l") and v["expert"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines[3:5]] == [["Blur", "*"], ["Nothing", "2"]]


def test_input_and_gain_are_means_over_the_pictures() -> None:
    clean = smooth()
    crops = []
    for columns in (1, 3):
        rainy = clean.copy()
        rainy[:, 5 : 5 + 20 * columns : 20] = 220
        crops.append((rainy, clean))
    told = realism.heard(Blur(), "pairs/mine", "rain100l", crops)
    before = [psnr(luma(rainy), luma(clean), 255) for rainy, _ in crops]
    after = [psnr(luma(Blur().restore(rainy)), luma(clean), 255) for rainy, _ in crops]
    gains = [b - a for a, b in zip(before, after, strict=True)]
    assert told.input == pytest.approx(np.mean(before))
    assert told.gain == pytest.approx(np.mean(gains))
    assert (told.least, told.most) == pytest.approx((min(gains), max(gains)))
    assert told.expert and told.published


def test_pictures_that_stayed_dry_are_not_judged() -> None:
    clean = smooth()
    wet = clean.copy()
    wet[:, 5] = 220
    assert realism.heard(Blur(), "x", "x", [(clean, clean), (wet, clean)]).pictures == 1
    with pytest.raises(DerainError, match="hardly any x fell on 1 pictures"):
        realism.heard(Blur(), "x", "x", [(clean, clean)])


def test_rain_falls_on_the_whole_photo_and_is_the_same_for_a_seed(data: Path) -> None:
    photos = realism.chosen_photos(data / "photos" / "bsds500", 2, 5)
    first, again, other = (realism.rained(preset("rain100h"), photos, seed, 30) for seed in (1, 1, 2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][0], other[0][0])
    assert first[0][1].shape == (30, 30, 3)
    whole = realism.rained(preset("rain100h"), photos, 1, 1000)
    assert np.array_equal(whole[0][0][15:45, 25:55], first[0][0])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--count", "9"], "has 3 photos; --count takes that or less, not 9"),
        (["--photos", "nowhere"], "nowhere is not a folder"),
        (["--json", "nowhere/x.json"], "there is no folder nowhere"),
        (["--seed", "-1"], "--seed"),
        (["--size", "8"], "--size"),
    ],
)
def test_mistakes_are_one_sentence(
    data: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "realism", "--data", str(data), *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error


def test_without_a_folder_it_says_what_to_name(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "realism"]) == 2
    assert "name a folder with --photos" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--peers"):
        realism.inside(None, "--peers", "peers")
