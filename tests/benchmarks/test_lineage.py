"""`derain bench lineage`: systems trained under one budget, resumed, compared, and their papers' claims."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest
from rainy_sets import darker, psnr, rained, scene, write

from derain.benchmarks.lineage import child, command, training
from derain.benchmarks.lineage.command import budget_option, systems_option
from derain.benchmarks.lineage.report import Row, markdown, orderings, sentence
from derain.benchmarks.lineage.scores import SETS, Score
from derain.benchmarks.lineage.systems import CLAIMS, SYSTEMS, lasting, recipe_of
from derain.benchmarks.lineage.training import Record, Terms, pace_of, trained
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.cli import run
from derain.train.networks.facts import Cost
from derain.train.recipe import load_recipe

PAIR = "water-gan,pix2pix"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in ("bsds500", "camvid"):
        for index in range(2):
            write(tmp_path / "data" / "photos" / folder / f"{index}.png", scene(index, 96, 96))
    return tmp_path / "data"


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A pair of each set; the rain covers a quarter of it."""
    for index, name in enumerate(SETS):
        write(tmp_path / "held" / name / "clean" / "0.png", scene(index))
        write(tmp_path / "held" / name / "rainy" / "0.png", rained(scene(index)))
    return tmp_path / "held"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The derain commands that were called; they run here, but exports, which give another small network."""
    seen: list[list[str]] = []

    def call(arguments: Sequence[str], threads: int, log: Path, tell: Callable[[str], None]) -> None:
        seen.append(list(arguments))
        if arguments[0] == "export":
            folder = Path(arguments[2]).parent
            darker(folder, 10, "model")
        else:
            assert run(arguments) == 0

    monkeypatch.setattr(child, "call", call)
    return seen


def bench(data: Path, held: Path, *words: object) -> int:
    always = ("--data", data, "--set", held, "--output", held.parent / "runs", "--workers", "0")
    return run(["bench", "lineage", *map(str, (*always, *words))])


def test_systems_are_trained_once_and_compared(
    data: Path, held: Path, calls: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--budget", "1", "--systems", PAIR, "--json", tmp_path / "f.json")
    assert bench(data, held, *words) == 0
    table = capsys.readouterr().out
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:]
    assert names == ["input", "median 5x5", "bilateral 2, 0.3", "water-gan", "pix2pix", "realtime-s"]
    assert "pix2pix" in table and "dB, water-gan" in table and "does not hold at this budget" in table
    told = json.loads((tmp_path / "f.json").read_text())
    trained_ones = {row["name"]: row for row in told["systems"] if row["record"]}
    assert list(trained_ones) == PAIR.split(",") and told["failed"] == {}
    for row in trained_ones.values():
        assert row["record"]["finished"] and row["record"]["steps"] >= 1 and row["ms"] > 0
        # 30 levels are left in the rain, which is a quarter, and 10 made beside it.
        assert row["scores"]["drops"]["psnr_y"] == pytest.approx(psnr(math.sqrt(300)))
    assert cv2.imread(str(tmp_path / "runs" / "sheet.png")) is not None

    calls.clear()
    assert bench(data, held, *words) == 0
    assert calls == [], "what was trained and exported stays as it is"
    assert "| pix2pix |" in capsys.readouterr().out


def test_an_interrupted_system_goes_on_with_what_is_left(
    data: Path, tmp_path: Path, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    terms, folder = Terms(data, 60, 1, 1, workers=0), tmp_path / "run"
    here = child.call

    def cut(arguments: Sequence[str], *others: Any) -> None:
        shorter = list(arguments)
        shorter[shorter.index("--time-limit") + 1] = "0.5"
        here(shorter, *others)
        if "--resume" in arguments:
            raise KeyboardInterrupt

    monkeypatch.setattr(child, "call", cut)
    with pytest.raises(KeyboardInterrupt):
        trained("pix2pix", recipe_of("pix2pix", 1), terms, folder, print)
    assert not training.read_record(folder).finished

    monkeypatch.setattr(training, "spent", lambda run: 59.0)
    monkeypatch.setattr(child, "call", here)
    before = training.steps_of(folder)
    record = trained("pix2pix", recipe_of("pix2pix", 1), terms, folder, print)
    assert calls[-1][calls[-1].index("--time-limit") + 1] == "1.00"
    assert record.finished and record.steps > before

    with pytest.raises(UsageError, match="begun with another seed and recipe; give another --output"):
        trained("pix2pix", recipe_of("pix2pix", 2), Terms(data, 60, 2, 1), folder, print)


def test_one_that_fails_stops_none_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Record({}, "", "", 2.0, planned=1200, steps=1200, seconds=600, finished=True)

    def fake(system: str, *others: Any) -> Record:
        if system == "water-gan":
            raise DerainError("training diverges at step 7")
        return done

    monkeypatch.setattr(training, "trained", fake)
    monkeypatch.setattr(training, "exported", lambda folder, threads: folder / "model.onnx")
    recipes = {name: recipe_of(name, 1) for name in ("water-gan", "pix2pix")}
    found = training.train_all(recipes, Terms(tmp_path, 60, 1, 1), tmp_path, print)
    assert found.records == {"pix2pix": done} and list(found.models) == ["pix2pix"]
    command.say([], [], found.failed, "")
    assert "water-gan is not in the table: training diverges at step 7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--systems", "pix2pix,alexnet"), "--systems knows eigen2013"),
        (("--budget", "soon"), "--budget takes a second or more, as 90s, 10m or 2h, not 'soon'"),
        (("--budget", "0"), "not '0'"),
        (("--json", "nowhere/f.json"), "nowhere"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(
    words: tuple[str, ...], sentence: str, data: Path, held: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(data, held, *words) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1


def test_a_folder_or_photos_that_are_not_there_are_told_before_training(
    data: Path, held: Path, tmp_path: Path, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(tmp_path, held) == 2
    assert "photos" in capsys.readouterr().err
    (tmp_path / "runs").write_text("a file")
    assert bench(data, held) == 2
    assert "runs can't be made: file exists" in capsys.readouterr().err.lower()
    (held / "joint").rename(held / "other")
    assert bench(data, held) == 2
    assert "has no set 'joint'; give a folder that derain benchmark-set made" in capsys.readouterr().err
    assert calls == []


def test_a_command_of_its_own_gives_its_error_and_its_log(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(UsageError, match=r"absent\.mp4"):
        child.call(["video", "absent.mp4", "out.mp4"], 1, tmp_path / "log.txt", lines.append)
    assert "absent.mp4" in lines[-1] and (tmp_path / "log.txt").read_text().strip() == "\n".join(lines)
    with pytest.raises(child.KilledError, match="train was ended from outside"):
        child.check(-9, ["train"], "step 3")


def test_all_are_trained_on_the_same_data_and_patches() -> None:
    recipes = [recipe_of(system, 5) for system in SYSTEMS]
    assert all(recipe.data == recipes[0].data for recipe in recipes)
    assert {(recipe.train.batch, recipe.train.patch, recipe.seed) for recipe in recipes} == {(8, 64, 5)}
    assert all(sum(recipe.data.shares.values()) == pytest.approx(1) for recipe in recipes)


def test_a_schedule_is_made_for_the_steps_there_are() -> None:
    assert lasting(recipe_of("daiam", 1), 4000) == recipe_of("daiam", 1)
    short = lasting(load_recipe("spanet"), 600).train
    assert short.steps == 600 and short.milestones == (50, 150, 300, 500)
    assert lasting(recipe_of("daiam", 1), 200).train.warmup == 20


def test_the_pace_is_that_of_warm_steps() -> None:
    """A start of 3 s, a slow first step, then two steps a second."""
    assert pace_of({1: 5.0, 2: 5.5, 3: 6.0, 4: 6.5}) == pytest.approx((4.5, 2))
    assert pace_of({1: 4.0}) == pytest.approx((0, 0.25))


def test_orderings_follow_the_figures() -> None:
    figures = {"d-daiam": 27.0, "daiam": 26.0, "dam-odd": 26.5, "spanet": 25.0}
    rows = [
        Row(name, "", {one: Score(psnr + (9 if one == "drops" else 0), 0.8) for one in SETS})
        for name, psnr in figures.items()
    ]
    found = orderings(rows)
    assert [(o["better"], o["worse"], o["holds"]) for o in found] == [
        ("d-daiam", "daiam", True),
        ("daiam", "dam-odd", False),
    ]
    assert sentence(found[0]) == "- DAiAM 2021, joint: d-daiam 27.00 dB, daiam 26.00 dB: holds"
    assert sentence(found[1]).endswith("dam-odd 26.50 dB: does not hold at this budget")


def test_claims_name_what_is_measured() -> None:
    eigen = CLAIMS[0].pairs()
    assert eigen == [
        ("eigen2013", "eigen2013-patch"),
        ("eigen2013-patch", "median 5x5"),
        ("eigen2013-patch", "bilateral 2, 0.3"),
    ]
    named = {name for claim in CLAIMS for pair in claim.pairs() for name in pair}
    assert named - set(SYSTEMS) == {"median 5x5", "bilateral 2, 0.3"}


def test_a_line_of_the_table() -> None:
    scores = dict(zip(SETS, (Score(20, 0.5), Score(22, 0.6), Score(27, 0.7)), strict=True))
    record = Record({}, "", "", 2.0, planned=1200, steps=1000, seconds=600)
    *_, line = markdown(
        [Row("daiam", "DAiAM 2021", scores, Cost(44_271, 48.512, True), 81.25, record)]
    ).splitlines()
    assert line == (
        "| daiam | DAiAM 2021 | 44,271 | 48.5 | 1,000 of 1,200 | 10.0 | 20.00 / 0.5000 | 22.00 / 0.6000 "
        "| 27.00 / 0.7000 | 23.00 / 0.6000 | 81.2 |"
    )


def test_budgets_and_systems_are_read_as_written() -> None:
    assert [budget_option(None, None, text) for text in ("90", "90s", "10m", "0.5h")] == [90, 90, 600, 1800]  # type: ignore[arg-type]
    assert systems_option(None, None, "pix2pix, eigen2013") == ("eigen2013", "pix2pix")  # type: ignore[arg-type]
