"""`derain bench degradations` counts patches of every kind and preset."""

import json
import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from derain.benchmarks import degradations
from derain.benchmarks.degradations import Subject, measure, scene
from derain.pipeline.cli import run
from derain.train.degradations.compose import KINDS, Shot
from derain.train.degradations.presets import PRESETS

LINE = ["bench", "degradations", "--size", "16", "--count", "1", "--repeats", "1"]
NAMES = [kind.name for kind in KINDS] + [preset.name for preset in PRESETS]


def test_every_kind_and_preset_has_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "rates.json"
    assert run([*LINE, "--seed", "3", "--json", str(figures)]) == 0
    told = json.loads(figures.read_text())
    assert [rate["name"] for rate in told["rates"]] == NAMES
    assert {rate["kind"] for rate in told["rates"]} == {"rain", "view", "preset"}
    assert all(rate["patches_per_second"] > 0 for rate in told["rates"])
    assert all(rate["median_ms"] <= rate["slowest_ms"] for rate in told["rates"])
    assert (told["size"], told["count"], told["repeats"], told["seed"]) == (16, 1, 1, 3)
    assert told["machine"]["cpu"]
    table = capsys.readouterr().out
    assert re.findall(r"^(?:rain|view|preset) +(\S+) +[\d.]+ +[\d.]+ +[\d.]+$", table, re.MULTILINE) == NAMES


def test_the_rate_is_over_all_patches_and_not_the_quick_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three patches of 10, 10 and 80 ms are 30 a second."""
    clock = 0.0
    drawn: list[int] = []

    def draw(rng: np.random.Generator, height: int, width: int) -> Shot:
        nonlocal clock
        drawn.append(int(rng.integers(2**62)))
        clock += 0.08 if drawn.count(drawn[0]) > 1 and drawn[-1] == drawn[0] else 0.01
        return Shot(())

    monkeypatch.setattr(time, "process_time", lambda: clock)
    rate = measure(Subject("rain", "hail", draw), 16, count=3, repeats=3, seed=1)
    assert rate.patches_per_second == pytest.approx(30)
    assert rate.median_ms == pytest.approx(10)
    assert rate.slowest_ms == pytest.approx(80)
    assert drawn[1:4] == drawn[4:7] == drawn[7:10]  # each repeat does the same
    assert len(set(drawn[1:4])) == 3


def test_opencv_has_one_thread_while_it_counts_and_its_own_number_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def draw(rng: np.random.Generator, height: int, width: int) -> Shot:
        seen.append(cv2.getNumThreads())
        return Shot(())

    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        monkeypatch.setattr(degradations, "subjects", lambda: (Subject("rain", "hail", draw),))
        degradations.measure_all(16, 1, 1, 1, lambda rate: None)
        assert set(seen) == {1}
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def test_the_scene_has_edges_and_fills_the_range() -> None:
    picture = scene(64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.float32
    assert 0 <= picture.min() < 0.3 and 0.7 < picture.max() <= 1
    assert np.abs(np.diff(picture, axis=1)).max() > 0.1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--size", "15"], "--size takes a whole number from 16 to 4096, not '15'"),
        (["--size", "-256"], "not '-256'"),
        (["--count", "0"], "--count takes a whole number from 1"),
        (["--seed", "-1"], "--seed takes a whole number from 0"),
        (["--json", "no/such/rates.json"], "no folder no/such"),
    ],
)
def test_what_can_not_be_measured_is_a_usage_error(
    line: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "degradations", *line]) == 2
    assert words in capsys.readouterr().err
