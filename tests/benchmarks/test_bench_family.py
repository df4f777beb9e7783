"""`derain bench family`: candidates timed beside the reference, trained under one budget, and compared."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rainy_sets import darker, psnr, rained, scene, write

from derain.benchmarks.family import candidates, command, speed
from derain.benchmarks.family.candidates import CANDIDATES, Candidate, Reference, recipe_of, shape
from derain.benchmarks.family.report import Row, markdown
from derain.benchmarks.family.scores import SETS, Score, altered
from derain.benchmarks.family.speed import Speed
from derain.benchmarks.lineage import child
from derain.benchmarks.lineage.training import Record
from derain.engines.errors import DerainError
from derain.pipeline.cli import run
from derain.train.networks.facts import Cost, cost
from derain.train.recipe import load_recipe, to_toml

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = Candidate("tiny", shape((4, 4), (0, 0), (1, 1), block="branched"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One tiny candidate in small patches, and a small frame."""
    monkeypatch.setattr(command, "CANDIDATES", (TINY,))
    monkeypatch.setattr(candidates, "BATCH", 1)
    monkeypatch.setattr(candidates, "PATCH", 32)
    monkeypatch.setattr(speed, "FRAME", (64, 36))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in ("bsds500", "camvid"):
        for index in range(5):
            write(tmp_path / "data" / "photos" / folder / f"{index}.png", scene(index, 64, 64))
    return tmp_path / "data"


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A pair of each set; the rain covers a quarter of it, and nothing of the clean one."""
    for index, name in enumerate(SETS):
        clean = scene(index)
        write(tmp_path / "held" / name / "clean" / "0.png", clean)
        write(tmp_path / "held" / name / "rainy" / "0.png", clean if name == "clean" else rained(clean))
    return tmp_path / "held"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The derain commands called; they run here, but exports, which give another network. Times are made."""
    seen: list[str] = []

    def call(arguments: Sequence[str], threads: int, log: Path, tell: Callable[[str], None]) -> None:
        seen.append(arguments[0])
        if arguments[0] == "export":
            darker(Path(arguments[2]).parent, 10, "model")
        else:
            assert run(arguments) == 0

    monkeypatch.setattr(child, "call", call)
    made = {"reference": Speed(50, 20), "tiny": Speed(40, 22)}
    monkeypatch.setattr(command, "speeds", lambda *others: made)
    return seen


def bench(*words: object) -> int:
    return run(["bench", "family", *map(str, (*words, "--workers", 0))])


def test_times_are_known_before_anything_is_trained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f.json"
    assert bench("--data", data, "--budget", 0, "--rounds", 3, "--threads", 1, "--json", file) == 0
    *_, reference, tiny = capsys.readouterr().out.splitlines()
    assert reference.startswith("| reference | ") and reference.count("| 1.00 |") == 2
    assert tiny.startswith("| tiny | cell 4, U 4 (0+1), 4 (0+1), branched, 1x1 last | ")
    told = {row["name"]: row for row in json.loads(file.read_text())["candidates"]}
    assert told["reference"]["ratios"] == {"fp32": 1, "int8": 1}
    for precision in ("fp32", "int8"):
        ms = [told[name]["speed"][precision] for name in ("tiny", "reference")]
        assert told["tiny"]["ratios"][precision] == pytest.approx(ms[0] / ms[1])
        assert min(ms) > 0


def test_candidates_are_trained_once_and_compared(
    data: Path, held: Path, tmp_path: Path, calls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    always = ("--data", data, "--held-out", held, "--output", tmp_path / "runs")
    words = (*always, "--budget", 1, "--json", tmp_path / "f.json")
    assert bench(*words) == 0
    *_, head, _, reference, tiny = capsys.readouterr().out.splitlines()
    assert head.endswith("| steps | drops dB | streaks dB | joint dB | clean exact |")
    assert reference.endswith("| 50.0 | 1.00 | 20.0 | 1.00 |  |  |  |  |  |")
    # 40 levels in a quarter before; 30 left of them, and 10 made beside it, in every tile of the clean one.
    gain = psnr(math.sqrt(300)) - psnr(20)
    assert "| 40.0 | 0.80 | 22.0 | 1.10 |" in tiny and tiny.endswith(f"| {gain:+.2f} " * 3 + "| 0.0% |")
    told = json.loads((tmp_path / "f.json").read_text())
    _, row = told["candidates"]
    assert row["record"]["finished"] and row["record"]["steps"] >= 1 and told["failed"] == {}
    assert row["scores"]["clean"] == {"gain": None, "exact": 0.0}

    calls.clear()
    assert bench(*words) == 0
    assert calls == [], "what was trained and exported stays as it is"


def test_steps_may_be_given_in_place_of_a_budget(
    data: Path, held: Path, tmp_path: Path, calls: list[str]
) -> None:
    words = ("--data", data, "--held-out", held, "--output", tmp_path / "runs", "--steps", 2)
    assert bench(*words, "--json", tmp_path / "f.json") == 0
    told = json.loads((tmp_path / "f.json").read_text())
    record = told["candidates"][1]["record"]
    assert told["steps"] == record["steps"] == record["planned"] == 2 and record["finished"]
    assert calls == ["train", "export"], "without a first measurement"


def test_one_that_fails_keeps_its_times(
    data: Path, held: Path, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def failing(*others: object) -> None:
        raise DerainError("training diverges at step 7")

    monkeypatch.setattr(child, "call", failing)
    assert bench("--data", data, "--held-out", held, "--output", tmp_path / "runs") == 0
    told = capsys.readouterr().out
    assert "| 40.0 | 0.80 |" in told and "tiny is not trained: training diverges at step 7" in told


def test_what_training_needs_is_told_before_anything_is_timed(
    data: Path, held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: object) -> str:
        assert bench("--data", data, *words) == 2
        return capsys.readouterr().err

    assert "--candidates knows tiny, not 'huge'" in told("--candidates", "tiny,huge")
    assert "--budget takes a second or more" in told("--budget", "0.5")
    assert "give --held-out FOLDER, which derain benchmark-set made, or --set PAIRS" in told()
    assert "--output names the folder of the runs, for 10 min" in told("--held-out", held)
    (held / "clean").rename(held / "other")
    assert "has no set 'clean'" in told("--held-out", held, "--output", tmp_path / "runs")


# The candidates


def test_candidates_differ_in_their_networks_alone(tmp_path: Path) -> None:
    recipes = {one.name: recipe_of(one, 5) for one in CANDIDATES}
    first = recipes[CANDIDATES[0].name]
    assert first.seed == 5 and first.train.stages == ()
    for recipe in recipes.values():
        assert (recipe.train, recipe.data, recipe.loss) == (first.train, first.data, first.loss)
        path = tmp_path / "recipe.toml"
        path.write_text(to_toml(recipe))
        assert load_recipe(str(path)).network.size == json.loads(json.dumps(recipe.network.size))


def test_candidates_cost_what_they_are_shipped_with() -> None:
    """Of each 16 pixels the reference multiplies 3x3 times 48 by 32, six times 32 by 32, and 32 by 48."""
    assert cost(Reference).kmac * 1000 == 9 * (48 * 32 + 6 * 32 * 32 + 32 * 48) / 16
    costs = {one.name: cost(one.build) for one in CANDIDATES if one.name in ("u3", "branched")}
    assert costs["branched"] == costs["u3"], "branches are folded"


# The table


def test_a_tile_is_altered_where_any_pixel_of_it_is() -> None:
    one = np.zeros((40, 70, 3), np.uint8)
    other = one.copy()
    other[39, 69, 2] = 1
    other[0, 31] = 1
    assert altered(one, other).tolist() == [[True, False, False], [False, False, True]]
    assert not altered(one, one).any()


def test_a_line_of_the_table() -> None:
    scores = {"drops": Score(2.5, None), "clean": Score(None, 0.98765)}
    record = Record({}, "", "", 2.0, planned=1200, steps=1000, seconds=600)
    row = Row(
        "u4", "cell 4", Cost(742_178, 5.148, True), 297, Speed(44.04, 21.5), Speed(50, 20), record, scores
    )
    head, _, line = markdown([row]).splitlines()
    assert head.endswith("| radius | ms fp32 | x | ms INT8 | x | steps | drops dB | clean exact |")
    assert line == (
        "| u4 | cell 4 | 742,178 | 5.1 | 297 | 44.0 | 0.88 | 21.5 | 1.07 | 1,000 of 1,200 | +2.50 | 98.8% |"
    )
