"""`derain bench dryness`: from pictures to what a network's card says is dry."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx_models
import pytest

from derain.benchmarks.dryness import SURE
from derain.engines.card import read_card
from derain.engines.errors import UsageError
from derain.pipeline.cli import run
from derain.train import figures


def pairs(folder: Path, rainy: list[int], dry: int) -> Path:
    """Pictures whose red is what the network takes for rain: of so much in rainy/, of `dry` in clean/."""
    for name, reds in (("rainy", rainy), ("clean", [dry] * len(rainy))):
        (folder / name).mkdir(parents=True)
        for number, red in enumerate(reds):
            picture = np.full((32, 32, 3), (90, 0, red), np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), picture)
    return folder


def bench(*words: object) -> int:
    return run(["bench", "dryness", *[str(word) for word in words], "--backend", "onnxruntime"])


def test_dry_is_what_scores_less_than_any_rainy_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx_models.mapped(tmp_path, kernel=1)
    heavy, light = pairs(tmp_path / "heavy", [204, 255], 51), pairs(tmp_path / "light", [102, 153], 102)
    assert bench(heavy, light, "--model", model, "--json", tmp_path / "dry.json") == 0
    told = json.loads((tmp_path / "dry.json").read_text())
    assert told["dry_below"] == pytest.approx(SURE * 0.6, abs=1e-3), "a picture equal to its twin is dry"
    assert [one["set"] for one in told["sets"]] == ["heavy", "light"]
    assert [one["rainy"] for one in told["sets"]] == [2, 1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["heavy", "2", "0.80", "0.90", "0.20", "0.20", "2", "of", "2"]
    assert lines[-1] == "mapped: dry below 0.570"
    assert figures.dry_below(tmp_path / "dry.json") == 0.57


def test_without_rainy_pictures_there_is_nothing_to_tell_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx_models.mapped(tmp_path, kernel=1)
    assert bench(pairs(tmp_path / "dry", [51], 51), "--model", model) == 2
    assert "there is no rainy picture in these sets" in capsys.readouterr().err


def test_the_card_carries_it(tmp_path: Path) -> None:
    assert read_card(onnx_models.identity(tmp_path)).dry_below == 0.1
    assert read_card(onnx_models.identity(tmp_path, dry_below=0.57)).dry_below == 0.57
    with pytest.raises(UsageError, match=r"dry_below = '1.5'; it must be a number from 0 to 1"):
        read_card(onnx_models.identity(tmp_path, dry_below=1.5))


def test_a_file_of_other_figures_is_told(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UsageError, match="not what derain bench dryness --json writes: no 'dry_below'"):
        figures.dry_below(tmp_path / "other.json")
