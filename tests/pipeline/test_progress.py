import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from derain.engines.errors import DerainError, UsageError
from derain.pipeline import progress
from derain.pipeline.json_lines import JsonLines
from derain.pipeline.metrics import Rain, Snapshot, StageTimes
from derain.pipeline.progress import BarTeller, Facts, JsonTeller, PlainTeller, QuietTeller, Teller, counted
from derain.pipeline.runner import Interrupted, Report

FACTS = Facts("rainy.mp4", ("clean.mp4",), "realtime-s", "1", "openvino", "fp32", "auto (none)", 64, 48, 240)
STAGES = {
    "decode": StageTimes(120, 0.0016, 0.0031, 0.2, 9.0),
    "restore": StageTimes(120, 0.0521, 0.0712, 6.1, 1.0),
    "encode": StageTimes(120, 0.0113, 0.0345, 1.3, 8.0),
}
SNAPSHOT = Snapshot(120, 240, 1, 8.5, 14.125, 8.4956, STAGES)
REPORT = Report(240, 0, 17.0, STAGES, (0.1, 0.2), (0.07, 0.09))
FIRST = "derain: model realtime-s 1, openvino fp32, tiles auto (none), bypass off, 64x48, about 240 frames"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    yield now


def tell(teller: Teller, clock: list[float]) -> None:
    """A whole run of 20 seconds, told ten times a second."""
    with teller:
        teller.start(FACTS)
        for _ in range(200):
            clock[0] += 0.1
            teller.update(SNAPSHOT)
        teller.end(progress.end_of_report(REPORT, (Path("clean.mp4"),)))


def test_lines_come_every_few_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    tell(PlainTeller(), clock)
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert said.out == ""
    assert lines[0] == FIRST
    assert 3 <= len(lines[1:-1]) <= 4
    assert lines[1] == (
        "derain: 120 of about 240 frames, 14.1 fps, "
        "decode 1.6 ms, restore 52.1 ms, encode 11.3 ms, 0:08 to go"
    )
    assert lines[-1] == "derain: 240 frames in 17.0 s (14.1 fps), written to clean.mp4"


def test_no_progress_says_what_runs_and_what_was_done(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    tell(QuietTeller(), clock)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [FIRST, "derain: 240 frames in 17.0 s (14.1 fps), written to clean.mp4"]


def test_json_is_one_event_a_line(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    tell(JsonTeller(), clock)
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert said.err == ""
    assert {event["event"] for event in events[1:-1]} == {"progress"}
    assert 30 <= len(events) - 2 <= 40
    assert events[0] == {
        "event": "start",
        "input": "rainy.mp4",
        "outputs": ["clean.mp4"],
        "model": "realtime-s",
        "model_version": "1",
        "backend": "openvino",
        "precision": "fp32",
        "tiles": "auto (none)",
        "width": 64,
        "height": 48,
        "frames": 240,
        "precision_reason": "",
        "backend_reason": "",
        "model_reason": "",
        "bypass": "off",
        "bypass_reason": "",
        "decoder": "software",
        "decoder_reason": "",
        "encoder": "",
        "encoder_reason": "",
        "instant": "",
    }
    stages = {
        "decode": {"p50_ms": 1.6, "p99_ms": 3.1},
        "restore": {"p50_ms": 52.1, "p99_ms": 71.2},
        "encode": {"p50_ms": 11.3, "p99_ms": 34.5},
    }
    assert events[1] == {
        "event": "progress",
        "frames": 120,
        "expected": 240,
        "held": 1,
        "seconds": 8.5,
        "fps": 14.125,
        "eta": 8.496,
        "stages": stages,
    }
    assert events[-1] == {
        "event": "end",
        "status": "done",
        "exit_code": 0,
        "message": "240 frames in 17.0 s (14.1 fps), written to clean.mp4",
        "files": ["clean.mp4"],
        "frames": 240,
        "held": 0,
        "seconds": 17.0,
        "fps": 14.118,
        "stages": stages,
    }


RAIN = Rain(0.4256, "network", (0.1, 0.4256), 1 / 3, 0.75, frames=240, bypassed=60, tiles=360, skipped=90)


def test_what_was_seen_of_the_rain_is_told(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    teller = PlainTeller()
    teller.start(replace(FACTS, bypass="auto", bypass_reason="with the glance"))
    clock[0] += 10
    teller.update(replace(SNAPSHOT, rain=RAIN))
    teller.end(progress.end_of_report(replace(REPORT, rain=RAIN), (Path("clean.mp4"),)))
    first, now, last = capsys.readouterr().err.splitlines()
    assert ", tiles auto (none), bypass auto (with the glance), 64x48, " in first
    saved = "60 of 240 frames bypassed, 90 of 360 tiles skipped"
    assert f", encode 11.3 ms, rain 0.43, {saved}, 0:08 to go" in now
    assert f"(14.1 fps), rain 0.33 (0.75 at most), {saved}, written to clean.mp4" in last


def test_where_nothing_was_seen_or_saved_nothing_is_told_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    QuietTeller().end(progress.end_of_report(replace(REPORT, rain=Rain()), (Path("clean.mp4"),)))
    assert capsys.readouterr().err == "derain: 240 frames in 17.0 s (14.1 fps), written to clean.mp4\n"


def test_json_has_what_was_seen_of_the_rain(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    teller = JsonTeller()
    clock[0] += 10
    teller.update(replace(SNAPSHOT, rain=RAIN))
    teller.end(progress.end_of_report(replace(REPORT, rain=RAIN), (Path("clean.mp4"),)))
    now, last = (json.loads(line)["rain"] for line in capsys.readouterr().out.splitlines())
    assert now == last
    assert now == {
        "score": 0.426,
        "judge": "network",
        "tile_scores": [0.1, 0.426],
        "mean": 0.333,
        "greatest": 0.75,
        "frames": 240,
        "bypassed": 60,
        "tiles": 360,
        "skipped": 90,
    }


ENDINGS = [
    (UsageError("no such file"), "failed", 2, "no such file", []),
    (DerainError("the disk is full"), "failed", 1, "the disk is full", []),
    (KeyboardInterrupt(), "interrupted", 130, "before the first frame", []),
    (
        Interrupted([Path("clean.partial.mp4")], REPORT),
        "interrupted",
        130,
        "after 240",
        ["clean.partial.mp4"],
    ),
    (Interrupted([], REPORT), "interrupted", 130, "kept: nothing", []),
]


@pytest.mark.parametrize(("error", "status", "exit_code", "message", "files"), ENDINGS)
def test_json_ends_with_an_end_event_however_it_ends(
    error: BaseException,
    status: str,
    exit_code: int,
    message: str,
    files: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(type(error)), JsonTeller():
        raise error
    event = json.loads(capsys.readouterr().out)
    assert (event["event"], event["status"], event["exit_code"]) == ("end", status, exit_code)
    assert message in event["message"]
    assert event["files"] == files


def test_people_are_told_what_an_interruption_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Interrupted), QuietTeller():
        raise Interrupted([Path("clean.partial.mp4")], REPORT)
    assert capsys.readouterr().err == "derain: interrupted after 240 frames; kept: clean.partial.mp4\n"


def test_an_error_is_left_to_whoever_catches_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DerainError), PlainTeller():
        raise DerainError("the disk is full")
    assert capsys.readouterr().err == ""


def test_held_frames_and_a_shortfall_are_in_the_last_line() -> None:
    report = replace(REPORT, held=2, shortfall="the file ends early")
    end = progress.end_of_report(report, (Path("clean.mp4"),))
    assert (end.status, end.exit_code) == ("short", 1)
    assert "240 frames in 17.0 s (14.1 fps), 2 held because they were damaged" in end.message


def test_a_terminal_gets_a_bar_and_keeps_only_two_lines(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", terminal)
    teller = progress.choose(as_json=False, quiet=False)
    assert isinstance(teller, BarTeller)
    tell(teller, clock)
    shown = terminal.getvalue()
    assert "120/240" in shown
    assert "14.1 fps, decode 1.6 ms, restore 52.1 ms, encode 11.3 ms, 0:08 to go" in shown
    assert shown.endswith("derain: 240 frames in 17.0 s (14.1 fps), written to clean.mp4\n")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("as_json", "quiet", "kind"),
    [
        (True, False, JsonTeller),
        (True, True, JsonTeller),
        (False, True, QuietTeller),
        (False, False, PlainTeller),
    ],
)
def test_the_options_choose_the_teller(as_json: bool, quiet: bool, kind: type) -> None:
    assert type(progress.choose(as_json, quiet)) is kind


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.9, "1:00:00"), (36000, "10:00:00")],
)
def test_times_to_go_read_like_a_clock(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text


def test_a_reader_that_goes_away_ends_the_run_with_a_sentence() -> None:
    """As in `derain video ... --json | head -1`."""
    code = (
        "import sys\n"
        "from derain.engines.errors import DerainError\n"
        "from derain.pipeline.json_lines import JsonLines\n"
        "lines = JsonLines()\n"
        "try:\n"
        "    while True: lines.write('progress', {})\n"
        "except DerainError as error:\n"
        "    lines.write('end', {})\n"
        "    sys.exit(str(error))\n"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert job.stdout is not None and job.stderr is not None
    job.stdout.close()
    said = job.stderr.read()
    job.stderr.close()
    assert job.wait(60) == 1
    assert said == f"the program that read the --json lines has gone, so the run ends{os.linesep}"


def test_json_numbers_are_short_however_deep_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    JsonLines().write("progress", {"a": 1 / 3, "b": {"c": [2 / 3, None, "x"], "d": (1, 0.12345)}})
    event = json.loads(capsys.readouterr().out)
    assert event == {"event": "progress", "a": 0.333, "b": {"c": [0.667, None, "x"], "d": [1, 0.123]}}


@pytest.mark.parametrize("count,words", [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")])
def test_one_frame_is_one_frame(count: int, words: str) -> None:
    assert counted(count) == words
