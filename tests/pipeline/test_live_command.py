"""`derain live` as users start and end it."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import onnx_models
import pytest
from live_fakes import FakeSink

from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.pipeline.cli import run
from derain.pipeline.commands.live import job_of, web_of
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.job import CameraJob, LiveJob, run_live
from derain.pipeline.live.outlets import Outlet
from derain.pipeline.live.seam import State
from derain.pipeline.live.sinks import WebJob
from derain.pipeline.live.telling import JsonLiveTeller, KeptLog, QuietLiveTeller
from derain.pipeline.log import logging_to
from derain.pipeline.sources import marks

PATTERN = "pattern:96x64@20"
ENGINE = EngineOptions(backend="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_models.mapped(tmp_path_factory.mktemp("models"), kernel=1)


def command(model: Path, *options: str) -> list[str]:
    return ["live", "--model", str(model), "--backend", "onnxruntime", "--threads", "1", *options]


def started(model: Path, *options: str) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "derain.pipeline", *command(model, *options)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_programs_are_told_all_of_it(model: Path, capsys: Any, tmp_path: Path) -> None:
    metrics = tmp_path / "live.prom"
    options = ("--duration", "1.5s", "--json", "--metrics", str(metrics), "--max-latency", "2s")
    assert run(command(model, PATTERN, f"back={PATTERN}", *options)) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    start, end = events[0], events[-1]
    assert start["event"] == "start" and start["backend"] == "onnxruntime" and start["policy"] == "live"
    assert start["cameras"] == [
        {"name": "pattern", "source": PATTERN},
        {"name": "back", "source": PATTERN},
    ]
    assert start["max_latency_ms"] == 2000 and start["steps"][-1] == "shown as it comes"
    live = {"event": "state", "camera": "back", "state": "live", "said": ""}
    assert live in events
    assert (end["event"], end["status"], end["exit_code"]) == ("end", "done", 0)
    assert [event["event"] for event in events].count("end") == 1
    for camera in end["cameras"]:
        assert camera["restored"] > 5 and camera["late"] == 0
        assert camera["restored"] + camera["dropped"] == pytest.approx(camera["decoded"], abs=2)
        assert 0 < camera["latency"]["p50_ms"] <= camera["latency"]["p99_ms"]
        assert camera["rain"] is not None
    assert 'derain_live_restored_total{camera="back"}' in metrics.read_text(encoding="utf-8")


def test_people_get_lines(model: Path, capsys: Any) -> None:
    assert run(command(model, PATTERN, "--duration", "300ms")) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"derain: live pattern ({PATTERN}): model mapped 1, onnxruntime")
    assert "derain: pattern is live" in lines
    assert lines[-1].startswith("derain: done after ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_five_seconds_and_well(model: Path, number: signal.Signals) -> None:
    with started(model, PATTERN, PATTERN, "--json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "figures" and all(one["restored"] for one in event["cameras"]):
                break
        began = time.monotonic()
        process.send_signal(number)
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0
    assert time.monotonic() - began < 10, "5 where nothing else is at work"
    assert rest[-1]["event"] == "end" and rest[-1]["message"].startswith("ended after ")


def test_where_the_reader_of_the_lines_has_gone_it_ends(model: Path) -> None:
    with started(model, PATTERN, "--json") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 1
        assert "the program that read the --json lines has gone" in process.stderr.read()


def test_latency_by_the_time_burned_into_the_picture(model: Path) -> None:
    """What a sink is shown bears when it was drawn: its age there is the latency that is told."""
    sink, apart = FakeSink(), []

    def look(shown: Any) -> None:
        mark = marks.read(shown.restored)
        assert mark is not None and mark == marks.read(shown.taken.frame.pixels)
        apart.append(abs(mark.age(shown.handed) - (shown.handed - shown.taken.arrived)))

    sink.before = look
    camera = CameraJob("pattern", parse_address("pattern:192x96@20"))
    job = LiveJob((camera,), model, ENGINE, strength=0.0, duration=1.0)
    figures = run_live(job, QuietLiveTeller(), lambda desk: [Outlet("sink", sink)])
    assert len(apart) > 5 and max(apart) < 0.002
    assert figures.cameras[0].restored == len(sink.shown)


def test_a_file_of_cameras_and_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text(
        "policy: lossless\nmodel: realtime\nbackend: openvino\ncameras:\n"
        "  - {name: a, source: pattern, strength: 0.5}\n  - {name: b, source: 'pattern:64x48'}\n"
    )
    job = job_of((), file, {"backend": "cpu", "strength": 0.7})
    assert [camera.name for camera in job.cameras] == ["a", "b"]
    assert (job.policy, job.model, job.engine.backend, job.strength) == ("lossless", "realtime", "cpu", 0.7)
    assert job.cameras[0].strength == 0.5
    assert all(camera.options.lossless for camera in job.asked())
    with pytest.raises(UsageError, match="give one of the two"):
        job_of(("pattern",), file, {})
    with pytest.raises(UsageError, match="--read-timeout is of sources, which --config has"):
        job_of((), file, {"read_timeout": 3.0})


def test_sources_get_names_and_options() -> None:
    sources = ("pattern", "pattern", "rtsp://u:p@host/a=b", "door 2=rtsp://host/x", "0")
    job = job_of(sources, None, {"rate": Fraction(10), "transport": "tcp"})
    assert [camera.name for camera in job.cameras] == ["pattern", "pattern-2", "rtsp", "door 2", "webcam"]
    assert job.cameras[2].address.url == "rtsp://u:p@host/a=b"
    assert all(camera.options.rate == 10 for camera in job.cameras)
    assert {camera.options.transport for camera in job.cameras} == {"tcp"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "there is no source; give one"),
        (["pattern", "--max-latency", "80"], "the latency to keep is 80000 ms"),
        (["pattern", "--max-latency", "soon"], "--max-latency takes a time such as 80ms"),
        (["pattern", "--size", "big"], "the size takes WIDTHxHEIGHT"),
        (["pattern", "--rate", "1/0"], "the rate takes frames a second"),
        (["pattern", "--metrics", "figures.txt"], "the metrics go to a file .prom"),
        (["0", "--policy", "lossless"], "can't wait"),
        (["ftp://host/x"], "can't be opened"),
        (["--config", "none.yaml"], "can't be read"),
        (["pattern", "--model", "none"], "there is no network 'none'"),
        (["nosuchfile.mp4"], "nosuchfile.mp4"),
    ],
)
def test_what_is_wrong_is_one_sentence(options: list[str], told: str, capsys: Any) -> None:
    assert run(["live", *options]) == 2
    said = capsys.readouterr().err.strip()
    assert told in said and said.startswith("derain: ") and "\n" not in said


def test_a_second_ctrl_c_does_not_wait(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first drains; while a sink takes its time to close, the second ends it."""
    monkeypatch.setattr("derain.pipeline.live.running.CLOSING", 60.0)
    closing, release = threading.Event(), threading.Event()
    sink = FakeSink()

    def close() -> None:
        closing.set()
        release.wait(60)

    sink.closing = close
    sink.before = lambda shown: os.kill(os.getpid(), signal.SIGINT) if not sink.shown else None
    job = LiveJob((CameraJob("pattern", parse_address(PATTERN)),), model, ENGINE)

    def interrupt() -> None:
        closing.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    again = threading.Thread(target=interrupt)
    again.start()
    with pytest.raises(KeyboardInterrupt):
        run_live(job, QuietLiveTeller(), lambda desk: [Outlet("sink", sink)])
    release.set()
    again.join()


def test_outputs_of_the_file_and_of_the_command_line_add_up(tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text(
        "output: hls:all\nweb: :8000\ncameras:\n"
        "  - {name: a, source: pattern, output: [record:a, record:b]}\n"
        "  - {name: b, source: pattern}\n"
    )
    job = job_of((), file, {}, ["window"])
    assert [(output.text, output.cameras) for output in job.outputs] == [
        ("hls:all", None),
        ("record:a", ("a",)),
        ("record:b", ("a",)),
        ("window", None),
    ]
    assert job.web == WebJob(":8000")
    assert web_of(job.web, None, ("cam.example",), "") == WebJob(":8000", ("cam.example",))
    assert web_of(job.web, "", (), "") == web_of(None, "", (), "") == WebJob("")
    assert web_of(None, None, (), "") is None
    with pytest.raises(UsageError, match="which --web asks for"):
        web_of(None, None, ("cam.example",), "")


def test_a_recording_is_what_was_shown(model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "kept"
    options = ("--output", f"record:{folder}", "--duration", "1500ms")
    assert run(command(model, PATTERN, *options)) == 0
    assert f", to record:{folder}" in capsys.readouterr().err
    (film,) = folder.rglob("*.mkv")
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 5


def test_an_output_that_can_not_be_is_told_before_the_start(model: Path, tmp_path: Path, capsys: Any) -> None:
    """And those that were opened before it are closed."""
    options = ("--output", f"record:{tmp_path}/a", "--output", "carrier-pigeon:home")
    assert run(command(model, PATTERN, *options)) == 2
    said = capsys.readouterr().err.strip()
    assert "carrier-pigeon" in said and "\n" not in said
    assert not [thread for thread in threading.enumerate() if "record" in thread.name]


def test_the_page_is_served_while_it_runs_and_no_longer(model: Path) -> None:
    pytest.importorskip("aiohttp")
    with started(model, PATTERN, "--json", "--web=127.0.0.1:0") as process:
        assert process.stdout is not None
        (url,) = json.loads(process.stdout.readline())["outputs"]
        assert url.startswith("http://127.0.0.1:") and "token" not in url
        for line in process.stdout:
            if json.loads(line)["event"] == "figures" and json.loads(line)["cameras"][0]["restored"]:
                break
        with urllib.request.urlopen(f"{url}metrics", timeout=30) as answer:
            assert b'derain_live_restored_total{camera="pattern"}' in answer.read()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(60) == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=30)


def test_a_page_that_others_reach_has_a_token_and_a_port_in_use_is_told(
    model: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    assert run(command(model, PATTERN, "--web=0.0.0.0:0", "--duration", "200ms")) == 0
    assert re.search(r", to http://\S+/\?token=[\w-]{30,}", capsys.readouterr().err)
    monkeypatch.setenv("DERAIN_WEB_TOKEN", "a token that I have chosen")
    assert run(command(model, PATTERN, "--web=0.0.0.0:0", "--duration", "200ms")) == 0
    assert "token" not in capsys.readouterr().err, "one's own secret is not told"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(command(model, PATTERN, f"--web=127.0.0.1:{port}")) == 2
    assert f"port {port} of 127.0.0.1 is in use" in capsys.readouterr().err


def test_what_is_logged_is_an_event_too(capsys: Any) -> None:
    kept = KeptLog()
    with logging_to(kept, "info"):
        logging.getLogger("derain.pipeline.live").warning("the %s does not stop", "camera")
        logging.getLogger("derain.pipeline.live").debug("nothing")
    JsonLiveTeller(kept).state("front", State.LIVE, "")
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first == {
        "event": "log",
        "level": "warning",
        "logger": "derain.pipeline.live",
        "message": "the camera does not stop",
    }
    assert second["event"] == "state"
