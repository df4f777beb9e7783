"""Figures as the papers count them, and pairs that are matched or named."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx_models import identity

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.cli import run
from derain.train.datasets import read_pairs, split
from derain.train.evaluate import RGB, contact_sheet, evaluate, mean, score


def write(path: Path, picture: RGB) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def picture(seed: int, height: int = 24, width: int = 32) -> RGB:
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for index in range(3):
        clean = picture(index)
        write(tmp_path / "set" / "clean" / f"{index}.png", clean)
        write(
            tmp_path / "set" / "rainy" / f"{index}.png",
            np.minimum(clean.astype(int) + 20, 255).astype(np.uint8),
        )
    return tmp_path / "set"


def test_a_constant_error_gives_the_psnr_of_the_formula() -> None:
    clean = np.full((16, 16, 3), 100, np.uint8)
    scored = score(clean + np.uint8(10), clean)
    luma_step = 10 * (65.481 + 128.553 + 24.966) / 255
    assert scored.psnr_rgb == pytest.approx(20 * np.log10(255 / 10))
    assert scored.psnr_y == pytest.approx(20 * np.log10(255 / luma_step))


def test_equal_pictures_have_no_error() -> None:
    scored = score(picture(1), picture(1))
    assert scored.psnr_y == float("inf")
    assert scored.ssim_y == pytest.approx(1.0)


def test_evaluate_measures_before_and_after(pairs: Path) -> None:
    read = read_pairs(pairs)
    scored = evaluate(read, lambda rainy: np.where(rainy >= 20, rainy - 20, rainy).astype(np.uint8))
    assert [s.pair.name for s in scored] == ["0", "1", "2"]
    assert all(s.gain > 10 for s in scored)
    assert mean([s.restored for s in scored]).psnr_y > mean([s.rainy for s in scored]).psnr_y + 10


def test_the_contact_sheet_shows_the_worst_first(pairs: Path) -> None:
    scored = evaluate(read_pairs(pairs), lambda rainy: rainy)
    sheet = contact_sheet(scored, lambda rainy: rainy, count=2)
    assert sheet.shape == (2 * 240, 3 * 320, 3)


def test_pairs_without_a_twin_are_all_named(pairs: Path) -> None:
    (pairs / "rainy" / "1.png").rename(pairs / "rainy" / "one.png")
    with pytest.raises(UsageError, match=r"2 pictures of .* have no twin: 1, one"):
        read_pairs(pairs)


def test_a_folder_that_is_no_set_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs rainy/ and clean/ or input/ and target/"):
        read_pairs(tmp_path)


def test_pairs_of_two_sizes_are_named(pairs: Path) -> None:
    write(pairs / "rainy" / "2.png", picture(2, 20, 20))
    with pytest.raises(DerainError, match="pair 2 has different sizes: rainy 20x20, clean 32x24"):
        evaluate(read_pairs(pairs), lambda rainy: rainy)


def test_an_unreadable_picture_is_named(pairs: Path) -> None:
    (pairs / "clean" / "0.png").write_text("no picture")
    with pytest.raises(DerainError, match=r"0\.png is not a picture"):
        evaluate(read_pairs(pairs), lambda rainy: rainy)


def test_every_nth_is_held_out() -> None:
    paths = [Path(str(i)) for i in range(7)]
    training, held = split(paths, 3)
    assert [p.name for p in held] == ["0", "3", "6"]
    assert not set(training) & set(held) and len(training) + len(held) == 7


def test_evaluate_command_prints_a_table_and_writes_json(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = identity(tmp_path)
    arguments = ["evaluate", str(model), str(pairs), "--backend", "onnxruntime"]
    assert run([*arguments, "--json", str(tmp_path / "f.json"), "--sheet", str(tmp_path / "s.png")]) == 0
    assert "+0.00" in capsys.readouterr().out
    (result,) = json.loads((tmp_path / "f.json").read_text())
    assert result["pairs"] == 3 and result["rainy"] == result["restored"]
    assert (tmp_path / "s.png").stat().st_size > 0


@pytest.mark.data
def test_rain100l_has_the_published_input_figures() -> None:
    """26.90 dB on Y and 25.52 dB on RGB: the reader and the metric count as the papers do."""
    folder = os.environ.get("DERAIN_DATA")
    if not folder:
        pytest.skip("DERAIN_DATA does not name the data folder")
    scores = [s.rainy for s in evaluate(read_pairs(Path(folder) / "pairs" / "rain100L"), lambda rainy: rainy)]
    figures = mean(scores)
    assert round(figures.psnr_y, 2) == 26.90
    assert round(figures.psnr_rgb, 2) == 25.52
