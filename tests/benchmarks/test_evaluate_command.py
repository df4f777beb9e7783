"""`derain evaluate`: what it measures on pairs and clips, what it leaves behind, what it refuses."""

import csv
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
from rainy_sets import RAIN, darker, evaluate, psnr, rained, scene, write

from derain.benchmarks import realism
from derain.benchmarks.evaluation.cases import Moment, PictureCase
from derain.benchmarks.evaluation.contest import Contestant, entrants, labels, opened
from derain.benchmarks.evaluation.figures import Figures, Result
from derain.benchmarks.evaluation.run import Measuring, Restored, spread
from derain.benchmarks.evaluation.shelf import Shelf, Show
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.cli import run
from derain.train.datasets import Pair, read_rgb
from derain.train.evaluate import RGB, Areas, Score
from derain.train.figures import quality


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three pairs; the rain covers a quarter of each."""
    for index in range(3):
        write(tmp_path / "set" / "clean" / f"{index}.png", scene(index))
        write(tmp_path / "set" / "rainy" / f"{index}.png", rained(scene(index)))
    return tmp_path / "set"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return onnx_models.identity(tmp_path)


def test_a_run_prints_a_table_and_writes_what_a_card_reads(
    pairs: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = evaluate(model, pairs)
    table = capsys.readouterr().out
    assert row["pairs"] == 3 and row["rainy"] == row["restored"] and row["gain_y"] == 0
    assert row["rainy"]["psnr_y"] == pytest.approx(psnr(RAIN, 1 / 4))
    assert f"{psnr(RAIN, 1 / 4):.2f}" in table and "+0.00" in table
    assert quality(tmp_path / "figures.json") == {"set": f"{psnr(RAIN, 1 / 4):.2f} dB (+0.00)"}


def test_the_rain_is_told_apart_by_difference(pairs: Path, tmp_path: Path) -> None:
    """A network 10 levels too dark leaves 30 in the rain and makes 10 beside it."""
    (row,) = evaluate(darker(tmp_path, 10, "dark"), pairs)
    assert row["masks"] == "difference over 30" and row["rain_share"] == 0.25
    assert row["rainy_areas"] == {"rain": pytest.approx(psnr(RAIN)), "rain_free": None}
    assert row["areas"] == {"rain": pytest.approx(psnr(30)), "rain_free": pytest.approx(psnr(10))}


def test_the_sets_own_mask_is_taken_where_there_is_one(pairs: Path, model: Path) -> None:
    """Here it is twice as wide as the rain."""
    mask = np.zeros((24, 32), np.uint8)
    mask[:, :16] = 255
    for index in range(3):
        write(pairs / "mask" / f"{index}.png", mask)
    (row,) = evaluate(model, pairs)
    assert row["masks"] == "set" and row["rain_share"] == 0.5
    assert row["areas"]["rain"] == pytest.approx(psnr(RAIN, 1 / 2))


def test_clean_pictures_are_restored_too_and_the_worst_is_named(pairs: Path, tmp_path: Path) -> None:
    """Of a picture with no level above 4, a network that takes 10 takes 4."""
    for twin in ("rainy", "clean"):
        write(pairs / twin / "black.png", np.full((24, 32, 3), 4, np.uint8))
    for index in range(2):
        (pairs / "rainy" / f"{index}.png").unlink()
        (pairs / "clean" / f"{index}.png").unlink()
    (row,) = evaluate(darker(tmp_path, 10, "dark"), pairs)
    told = row["no_harm"]
    assert told["pictures"] == 2 and told["worst"] == "2"
    assert told["worst_psnr_y"] == pytest.approx(psnr(10))
    assert told["psnr_y"] == pytest.approx(psnr(math.sqrt((10**2 + 4**2) / 2)))


def test_pairs_without_rain_count_for_clean_pictures_and_not_for_the_means(pairs: Path, model: Path) -> None:
    write(pairs / "clean" / "dry.png", scene(9))
    write(pairs / "rainy" / "dry.png", scene(9))
    (row,) = evaluate(model, pairs, "--no-harm", "0")
    assert row["pairs"] == 4 and row["dry"] == 1
    assert row["rainy"]["psnr_y"] == pytest.approx(psnr(RAIN, 1 / 4))
    assert row["no_harm"]["pictures"] == 1
    dry = next(picture for picture in row["pictures"] if picture["name"] == "dry")
    assert dry["dry"] and dry["rainy"]["psnr_y"] is None


def test_a_set_without_rain_has_means_of_its_own(pairs: Path, tmp_path: Path) -> None:
    shutil.rmtree(pairs / "rainy")
    shutil.copytree(pairs / "clean", pairs / "rainy")
    (row,) = evaluate(darker(tmp_path, 10, "dark"), pairs)
    assert row["rainy"]["psnr_y"] is None and row["gain_y"] is None
    assert row["restored"]["psnr_y"] == pytest.approx(psnr(10))
    assert quality(tmp_path / "figures.json") == {"set": f"{psnr(10):.2f} dB"}


def test_no_harm_takes_a_spread_sample() -> None:
    assert spread(100, 4) == {0, 25, 50, 75}
    assert spread(3, 8) == {0, 1, 2} == spread(3, sys.maxsize)
    assert spread(5, 0) == set()


def test_models_stand_side_by_side_on_the_same_pairs(
    pairs: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark, good = darker(tmp_path, 10, "dark"), darker(tmp_path, 20, "darker")
    (row,) = evaluate(model, pairs, "--against", f"{dark},{good}@openvino", "--csv", tmp_path / "f.csv")
    assert list(row["against"]) == ["dark", "darker"]
    assert [row["backend"], row["against"]["darker"]["backend"]] == ["onnxruntime", "openvino"]
    assert row["against"]["dark"]["areas"]["rain"] == pytest.approx(psnr(30))
    assert row["against"]["darker"]["areas"]["rain"] == pytest.approx(psnr(20))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:5]] == [
        "identity",
        "dark",
        "darker",
    ]
    lines = list(csv.DictReader((tmp_path / "f.csv").read_text().splitlines()))
    assert len(lines) == 3 * 4
    assert [line["model"] for line in lines[:4]] == ["rainy", "identity", "dark", "darker"]
    assert float(lines[2]["psnr_y_rain"]) == pytest.approx(psnr(30), abs=1e-6)
    assert lines[0]["psnr_y_rain_free"] == "inf" and lines[0]["flicker"] == ""


def test_models_take_turns_on_each_pair(pairs: Path) -> None:
    """So that a machine that gets slower, or a set that is cut short, is the same to each."""
    order: list[str] = []

    def by(name: str) -> Contestant:
        def restore(pixels: Pixels) -> Pixels:
            order.append(name)
            return pixels

        return Contestant(name, "", "", restore)

    cases = [
        PictureCase(Pair(str(n), pairs / "rainy" / f"{n}.png", pairs / "clean" / f"{n}.png"))
        for n in range(2)
    ]
    assert len(list(Measuring([by("a"), by("b")], cases, twins=0))) == 2
    assert order == ["a", "b", "a", "b"]


def test_labels_are_short_and_unlike_one_another() -> None:
    named = entrants("x/rainy.onnx", ["a/fast.onnx, b/fast.onnx", "realtime-s@openvino,realtime-s"])
    assert labels(named) == [
        "x/rainy.onnx",
        "a/fast.onnx",
        "b/fast.onnx",
        "realtime-s@openvino",
        "realtime-s",
    ]


def test_a_file_with_an_at_in_its_name_is_a_file(tmp_path: Path, model: Path) -> None:
    odd = model.rename(tmp_path / "v2@home.onnx")
    with opened(entrants(str(odd), []), EngineOptions(backend="onnxruntime")) as (contestant,):
        assert contestant.label == "v2@home"


def test_restored_pictures_are_written_by_set_and_model(pairs: Path, model: Path, tmp_path: Path) -> None:
    dark = darker(tmp_path, 10, "dark")
    evaluate(model, pairs, "--against", dark, "--output", tmp_path / "restored")
    written = sorted(
        p.relative_to(tmp_path / "restored").as_posix() for p in tmp_path.rglob("restored/*/*/*")
    )
    assert written == [f"set/{who}/{n}.png" for who in ("dark", "identity") for n in range(3)]
    wanted = read_rgb(pairs / "rainy" / "1.png").astype(int) - 10
    assert np.array_equal(read_rgb(tmp_path / "restored" / "set" / "dark" / "1.png"), wanted)


def test_the_sheet_shows_the_worst_first(pairs: Path, model: Path, tmp_path: Path) -> None:
    """Rainy, restored and clean in boxes of 320x240, a row for each pair."""
    write(pairs / "rainy" / "2.png", scene(2) // 2)
    evaluate(darker(tmp_path, 10, "dark"), pairs, "--sheet", tmp_path / "sheet.png")
    sheet = read_rgb(tmp_path / "sheet.png")
    assert sheet.shape == (3 * 24, 3 * 320, 3)
    assert np.array_equal(sheet[12:24, 640:672], scene(2)[12:])


@pytest.mark.parametrize(
    ("show", "wanted"),
    [("worst", [30, 31, 32]), ("best", [37, 38, 39]), ("both", [30, 31, 39])],
)
def test_the_page_keeps_the_pictures_asked_for(show: Show, wanted: list[int]) -> None:
    """Ten pass by in any order; three are kept, however many there are."""
    shelf = Shelf(3, show)
    flat = np.full((12, 12, 3), 100, np.uint8)
    moment = Moment(flat, flat, np.zeros((12, 12), bool))
    for case in np.random.default_rng(1).permutation(10):
        figures = [Figures(Score(psnr, 1, 1, 1), Areas()) for psnr in (20.0, 30.0 + case)]
        result = Result(str(case), "picture", 1, False, False, figures[0], (figures[1],))
        shelf.offer(int(case), result, Restored(moment, (flat,), 20, 30.0 + case))
    assert [sample.result.restored[0].score.psnr_y for sample in shelf.samples] == wanted
    assert [sample.result.name for sample in shelf.samples] == [str(psnr - 30) for psnr in wanted]


def test_sets_of_one_name_are_told_apart(pairs: Path, model: Path, tmp_path: Path) -> None:
    shutil.copytree(pairs, tmp_path / "other" / "set")
    rows = evaluate(model, pairs, tmp_path / "other" / "set")
    assert [row["title"] for row in rows] == [f"{tmp_path.name}/set", "other/set"]


def test_bad_pairs_are_all_named_before_the_work(
    pairs: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(pairs / "clean" / "0.png", scene(0, 30, 30))
    (pairs / "clean" / "1.png").write_text("no picture")
    write(pairs / "mask" / "2.png", np.zeros((5, 5), np.uint8))
    assert run(["evaluate", str(model), str(pairs)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    for part in (
        "3 pairs can't be measured",
        "pair 0 has different sizes: rainy 32x24, clean 30x30",
        "1.png is not a picture",
        "2.png is 5x5, the pictures 32x24",
    ):
        assert part in told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{set}", "--match", "fog"], "no pair whose name contains 'fog'"),
        (["{tmp}/nowhere"], "nowhere is not a folder"),
        ([], "nothing to measure on"),
        (["{set}", "{set}"], "a set is named twice"),
        (["{set}", "--json", "{tmp}/no/f.json"], "there is no folder {tmp}/no"),
        (["{set}", "--html", "{set}"], "the output {set} is a folder"),
        (["{set}", "--csv", "{tmp}/f", "--json", "{tmp}/f"], "two outputs are named"),
        (["{set}", "--output", "{set}"], "exists; name a new folder"),
        (["{set}", "--sheet", "{tmp}/sheet.txt"], "--sheet takes a name that ends in"),
        (["{set}", "--against", "nonsense"], "nonsense"),
        (["{set}", "--against", "a,,b"], "one of them is empty"),
        (["{set}", "--against", "{model}"], "is named twice"),
        (["{set}", "--against", "{model}@cuda"], "there is no backend 'cuda'"),
        (["{set}", "--against", "@openvino"], "takes the form NAME@BACKEND"),
        (["{set}", "--no-harm", "few"], "--no-harm takes"),
        (["--clip", "{tmp}/a.mp4", "{tmp}/b.mp4"], "there is no clip {tmp}/a.mp4"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_before_the_work(
    words: list[str],
    told: str,
    pairs: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"set": pairs, "tmp": tmp_path, "model": model}
    before = sorted(tmp_path.rglob("*"))
    line = [str(model), *(word.format(**names) for word in words)]
    assert run(["evaluate", *line, "--backend", "onnxruntime"]) == 2
    captured = capsys.readouterr()
    assert told.format(**names) in captured.err and captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_broken_run_leaves_nothing(
    pairs: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network fails on the second pair: no figures, no half-filled folder."""
    calls: list[int] = []

    def breaks(self: Any, pixels: Pixels, out: Pixels | None = None) -> Pixels:
        calls.append(1)
        if len(calls) > 1:
            raise DerainError("the device is gone")
        return pixels

    monkeypatch.setattr("derain.pipeline.restore.Restorer.__call__", breaks)
    before = sorted(tmp_path.rglob("*"))
    outputs = ["--json", tmp_path / "f.json", "--html", tmp_path / "f.html", "--output", tmp_path / "out"]
    assert run(["evaluate", str(model), str(pairs), "--no-harm", "0", *map(str, outputs)]) == 1
    assert sorted(tmp_path.rglob("*")) == before


class Lightener:
    """Stands for a published network."""

    name, judges = "Lighter Rain100L", ()

    def restore(self, rainy: RGB) -> RGB:
        return rainy + np.uint8(10)


def test_published_networks_stand_beside_ours(
    pairs: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realism, "PANELS", [lambda folder: [Lightener()]])
    (row,) = evaluate(model, pairs, "--peers", tmp_path, "--against", "Lighter Rain100L")
    other = row["against"]["Lighter Rain100L"]
    assert other["backend"] == "torch"
    assert other["areas"]["rain_free"] == pytest.approx(psnr(10))


def test_peers_without_weights_are_told(pairs: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(model), str(pairs), "--peers", str(pairs)]) == 2
    assert "there are no weights" in capsys.readouterr().err


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="b is named twice"):
        entrants("a", ["b", "b"])
