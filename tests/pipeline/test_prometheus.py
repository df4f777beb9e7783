"""The figures of a run as Prometheus reads them, and the file they are kept in."""

import re
import time
from dataclasses import replace
from pathlib import Path

import clips
import onnx_models
import pytest

from derain.engines.errors import UsageError
from derain.pipeline.cli import run as derain
from derain.pipeline.metrics import Rain, Snapshot, StageTimes
from derain.pipeline.progress import QuietTeller, end_of_report
from derain.pipeline.prometheus import EVERY, MetricsTeller, text_of
from derain.pipeline.runner import Interrupted, Report

STAGES = {"restore": StageTimes(120, 0.0521, 0.0712, 6.1, 1.0)}
SNAPSHOT = Snapshot(120, 240, 1, 8.5, 14.125, 8.5, STAGES)
RAIN = Rain(0.4256, "network", (0.1, 0.4256), 1 / 3, 0.75, frames=123, bypassed=60, tiles=360, skipped=90)


def test_every_figure_is_named_explained_and_told_once() -> None:
    text = text_of(replace(SNAPSHOT, rain=RAIN))
    samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    assert {name: float(value) for name, value in samples} == {
        "derain_frames_total": 120,
        "derain_frames_held_total": 1,
        "derain_frames_expected": 240,
        "derain_seconds_total": 8.5,
        "derain_frames_per_second": 14.125,
        'derain_stage_seconds{stage="restore",quantile="0.5"}': 0.0521,
        'derain_stage_seconds{stage="restore",quantile="0.99"}': 0.0712,
        'derain_stage_seconds_sum{stage="restore"}': 6.1,
        'derain_stage_seconds_count{stage="restore"}': 120,
        'derain_stage_waited_seconds_total{stage="restore"}': 1,
        'derain_rain_score{judge="network"}': 0.4256,
        'derain_rain_tile_score{tile="0"}': 0.1,
        'derain_rain_tile_score{tile="1"}': 0.4256,
        "derain_frames_seen_total": 123,
        "derain_frames_bypassed_total": 60,
        "derain_tiles_total": 360,
        "derain_tiles_skipped_total": 90,
    }
    assert len(samples) == 17 and text.endswith("\n")
    kinds = re.findall(r"^# HELP (\S+) .+\.\n# TYPE \1 (counter|gauge|summary)$", text, re.MULTILINE)
    assert len(kinds) == len(re.findall("^# TYPE", text, re.MULTILINE)) == 13
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds)


def test_nothing_is_told_that_is_not_known() -> None:
    text = text_of(replace(SNAPSHOT, expected=None))
    assert "expected" not in text and "rain_score" not in text and "bypassed" not in text
    assert "derain_rain_score" not in text_of(replace(SNAPSHOT, rain=Rain()))


def frames_in(path: Path) -> str:
    (found,) = re.findall(r"^derain_frames_total (\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return str(found)


def test_the_file_is_fresh_while_it_runs_and_right_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    file = tmp_path / "derain.prom"
    with MetricsTeller(QuietTeller(), file) as teller:
        for frames, after in ((1, 1), (2, EVERY - 2), (3, 3.0)):
            now[0] += after
            teller.update(replace(SNAPSHOT, frames=frames))
            assert frames_in(file) == {1: "1", 2: "1", 3: "3"}[frames]
        report = Report(7, 0, 17.0, STAGES, (0.1, 0.2), (0.07, 0.09))
        teller.end(end_of_report(report, (tmp_path / "clean.mp4",)))
    assert frames_in(file) == "7" and [path.name for path in tmp_path.iterdir()] == ["derain.prom"]


def test_an_interrupted_run_leaves_what_it_came_to(tmp_path: Path) -> None:
    file = tmp_path / "derain.prom"
    report = Report(7, 0, 17.0, STAGES, (0.1, 0.2), (0.07, 0.09))
    with pytest.raises(Interrupted), MetricsTeller(QuietTeller(), file):
        raise Interrupted([], report)
    assert frames_in(file) == "7"


def test_a_file_that_can_not_be_written_any_more_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derain.pipeline.prometheus.EVERY", 0.0)
    folder = tmp_path / "metrics"
    folder.mkdir()
    teller = MetricsTeller(QuietTeller(), folder / "derain.prom")
    folder.rmdir()
    teller.update(SNAPSHOT)
    teller.update(SNAPSHOT)
    assert caplog.text.count("can't be written (No such file or directory)") == 1


@pytest.mark.parametrize(("name", "told"), [("a.txt", "a file .prom"), ("no/a.prom", "there is no folder")])
def test_what_can_not_be_the_file_is_told_first(name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        MetricsTeller(QuietTeller(), tmp_path / name)


def test_a_video_has_its_figures_in_the_file(tmp_path: Path) -> None:
    model = onnx_models.mapped(tmp_path, kernel=1)
    rainy = clips.Clip(codec="ffv1", pixel_format="bgr0").write(tmp_path / "rainy.mkv")
    line = ["video", rainy, tmp_path / "clean.mkv", "--model", model, "--metrics", tmp_path / "run.prom"]
    assert derain([str(word) for word in line]) == 0
    text = (tmp_path / "run.prom").read_text(encoding="utf-8")
    assert "derain_frames_total 12\n" in text and "derain_frames_bypassed_total 0\n" in text
    assert re.search(r'^derain_rain_score{judge="network"} 0\.\d+$', text, re.MULTILINE)
