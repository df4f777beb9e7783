"""derain bench drops: measured beside what real drops measure, drawn beside one's own real pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from derain.engines.errors import DerainError
from derain.pipeline.cli import run
from derain.train.degradations.compose import make
from derain.train.degradations.presets import preset


def photo(seed: int, height: int = 150, width: int = 200) -> "np.typing.NDArray[np.uint8]":
    noise = np.random.default_rng(seed).random((height, width, 3), np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.0)
    light = np.linspace(0.7, 0.2, height, dtype=np.float32)[:, None, None]
    return np.asarray(np.clip(light + blurred - 0.5, 0, 1) * 255, np.uint8)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DERAIN_DATA", raising=False)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), photo(index))
    return folder


def bench(*arguments: object) -> int:
    return run(["bench", "drops", *map(str, arguments)])


def test_presets_are_measured_beside_the_published_figures(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = []
    for _ in range(2):
        assert bench("--photos", photos, "--count", 2) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    lines = tables[0].splitlines()
    assert [line[:22].strip() for line in lines] == [
        "drops",
        "real pairs, published",
        "raindrops",
        "raindrops-soft",
    ]
    assert " ".join(lines[1].split()[3:]) == "29-51 5 / 14 / 37 6 / 42 / 69 0.40 / 0.58 / 0.78 3-20 16-22"
    touched = [float(number) for number in lines[2].split()[1].split("-")]
    assert 5 < touched[0] <= touched[1] < 80


def test_pairs_of_one_s_own_are_measured_alike(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for twin in ("rainy", "clean"):
        (tmp_path / "mine" / twin).mkdir(parents=True)
    for index in range(2):
        clean = photo(index)
        shot = preset("raindrops").sample(np.random.default_rng([7, index]), *clean.shape[:2])
        rainy = make(clean.astype(np.float32) / np.float32(255), shot).rainy.image
        cv2.imwrite(str(tmp_path / "mine/clean" / f"{index}.png"), clean[..., ::-1])
        cv2.imwrite(str(tmp_path / "mine/rainy" / f"{index}.png"), (rainy * 255).round()[..., ::-1])
        cv2.imwrite(str(photos / f"{index}.png"), clean[..., ::-1])
    assert bench("--photos", photos, "--count", 2, "--pairs", tmp_path / "mine") == 0
    lines = capsys.readouterr().out.splitlines()
    # The photos of the preset's row are 0 and 1 with the same seed: the same pictures, 8 bits a colour.
    assert lines[2].startswith("mine ") and lines[3].startswith("raindrops ")
    assert lines[2][24:53] == lines[3][24:53]


def test_the_sheet_has_real_pictures_first(photos: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    cv2.imwrite(str(real / "window.png"), np.full((300, 400, 3), (0, 0, 200), np.uint8))
    assert bench("--photos", photos, "--sheet", tmp_path / "sheet.jpg", "--real", real) == 0
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet is not None and sheet.shape == (4 * 240, 3 * 320, 3)
    assert np.abs(sheet[120, 160].astype(int) - (0, 0, 200)).max() < 12
    assert sheet[120, 500].max() < 12  # there is one real picture only
    assert sheet[360, 160].max() > 30
    assert bench("--photos", photos, "--sheet", tmp_path / "without.jpg") == 0
    without = cv2.imread(str(tmp_path / "without.jpg"))
    assert without is not None and without.shape[0] == 3 * 240
    # The last row is one lens, about half of it wiped in the middle picture: its scene is the same.
    first, wiped = without[480:, 40:300].astype(int), without[480:, 360:620].astype(int)
    assert np.abs(first - wiped).max(axis=2).mean() > 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--real", "x"], "--real goes on a sheet; name one with --sheet"),
        (["--sheet", "sheet.png"], "--sheet writes a JPEG, NAME.jpg, not sheet.png"),
        (["--sheet", "nowhere/sheet.jpg"], "there is no folder nowhere for sheet.jpg"),
        (["--count", "0"], "--count takes a whole number from 1 to 1000, not '0'"),
        (["--seed", "-1"], "--seed takes a whole number from 0"),
        ([], "name a folder of clean photos with --photos"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DERAIN_DATA", raising=False)
    assert bench(*arguments) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_pairs_without_drops_are_told(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for twin in ("rainy", "clean"):
        (tmp_path / "dry" / twin).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "dry" / twin / "1.png"), photo(1))
    assert bench("--photos", photos, "--pairs", tmp_path / "dry") == DerainError("").exit_code
    assert "there is no drop to measure on the 1 pictures of dry" in capsys.readouterr().err
