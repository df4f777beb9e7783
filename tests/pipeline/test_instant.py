"""Instant start: the CPU restores from the first frame on, another engine takes over between two frames."""

import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import av
import clips
import far_backend
import numpy as np
import onnx_models
import pytest

from derain.engines import swapping
from derain.engines.ahead import Ahead
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.pipeline import relay
from derain.pipeline.cli import run
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.metrics import Change, Snapshot
from derain.pipeline.progress import QuietTeller
from derain.pipeline.relay import Relay
from derain.pipeline.runner import Interrupted

FRAMES, SWAP = 12, 5


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> far_backend.Device:
    return far_backend.attach(monkeypatch)


@pytest.fixture
def paced(device: far_backend.Device, monkeypatch: pytest.MonkeyPatch) -> far_backend.Device:
    """The device's engine is ready, or has failed, between the fifth frame and the sixth."""
    before = Relay.before

    def wait(self: Relay, number: int) -> None:
        if number == SWAP and self._successor is not None:
            assert self._successor.ended.wait(30)
        elif self._successor is not None and self._successor.begun:
            return None  # as long as it takes to open
        return before(self, number)

    monkeypatch.setattr(Relay, "before", wait)
    return device


@pytest.fixture
def rainy(tmp_path: Path) -> Path:
    """Frames at irregular times."""
    times = [n * 3 + n % 3 for n in range(FRAMES)]
    return clips.Clip(codec="ffv1", pixel_format="bgr0", times=times).write(tmp_path / "rainy.mkv")


def command(rainy: Path, output: str, model: Path, *options: str) -> list[str]:
    return [
        "video",
        str(rainy),
        str(rainy.with_name(output)),
        "--model",
        str(model),
        "--codec",
        "ffv1",
        *options,
    ]


def pictures(path: Path) -> list[tuple[Any, Any]]:
    """The pictures with their times."""
    with av.open(str(path)) as container:
        return [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def assert_like_the_cpu(rainy: Path, model: Path, output: str = "clean.mkv") -> None:
    assert run(command(rainy, "cpu.mkv", model, "--backend", "cpu")) == 0
    found, right = pictures(rainy.with_name(output)), pictures(rainy.with_name("cpu.mkv"))
    assert len(found) == FRAMES
    for (pts, picture), (right_pts, right_picture) in zip(found, right, strict=True):
        assert pts == right_pts
        assert np.array_equal(picture, right_picture)


def no_thread_is_left() -> bool:
    return not [thread.name for thread in threading.enumerate() if thread.name.startswith("derain-")]


@pytest.mark.parametrize("kind", ["conv", "recurrent"])
@pytest.mark.parametrize("tile", ["auto", "32"])
def test_the_engine_changes_once_between_two_frames_and_nobody_sees_it(
    paced: far_backend.Device, rainy: Path, tmp_path: Path, kind: str, tile: str, capsys: Any
) -> None:
    model = getattr(onnx_models, kind)(tmp_path)
    assert run(command(rainy, "clean.mkv", model, "--instant", "--tile", tile)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "onnxruntime fp32 (" in lines[0] and ", far opens meanwhile, tiles" in lines[0]
    told = [line for line in lines if "restores" in line]
    assert len(told) == 1
    words = f"derain: from frame {SWAP} on far fp16 restores in place of onnxruntime fp32: opened and checked"
    assert told[0].startswith(words)
    (engine,) = paced.opened
    assert engine.closed and no_thread_is_left()
    size = (clips.HEIGHT, clips.WIDTH) if tile == "auto" else (32, 32)
    assert sum(shape[1:3] == paced.shapes[-1][1:3] for shape in paced.shapes) > FRAMES - SWAP
    assert paced.shapes[-1][1] <= size[0]
    assert_like_the_cpu(rainy, model)


def test_programs_get_an_event_and_the_metrics_have_it(
    paced: far_backend.Device, rainy: Path, tmp_path: Path, capsys: Any
) -> None:
    model, metrics = onnx_models.conv(tmp_path), tmp_path / "run.prom"
    options = ("--instant", "--json", "--metrics", str(metrics), "--log-level", "info")
    assert run(command(rainy, "clean.mkv", model, *options)) == 0
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert events[0]["instant"] == "far opens meanwhile"
    (change,) = [event for event in events if event["event"] == "engine"]
    assert change.pop("reason").startswith("opened and checked in ")
    assert change == {
        "event": "engine",
        "frame": SWAP,
        "backend": "far",
        "precision": "fp16",
        "before": "onnxruntime fp32",
    }
    assert f"info: from frame {SWAP} on far fp16 restores in place of onnxruntime fp32" in said.err
    text = metrics.read_text(encoding="utf-8")
    assert "derain_engine_changes_total 1\n" in text
    assert f'derain_engine_since_frame{{backend="far",precision="fp16"}} {SWAP}\n' in text


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            {"refusals": [DerainError("the builder gave up")]},
            "far did not take over (far: the builder gave up)",
        ),
        ({"wrong": 9}, "far did not take over (far: it does not compute what the network does (flat"),
    ],
)
def test_where_it_can_not_be_had_the_cpu_goes_on(
    paced: far_backend.Device, rainy: Path, tmp_path: Path, capsys: Any, broken: Any, words: str
) -> None:
    for name, value in broken.items():
        setattr(paced, name, value)
    model = onnx_models.conv(tmp_path)
    assert run(command(rainy, "clean.mkv", model, "--instant")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "goes on" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"derain: onnxruntime fp32 goes on restoring at frame {SWAP}: {words}")
    assert no_thread_is_left()
    paced.wrong = 0
    assert_like_the_cpu(rainy, model)


def test_memory_that_runs_short_behind_the_change_brings_the_cpu_back(
    paced: far_backend.Device, rainy: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx_models.recurrent(tmp_path)

    def short_from_then_on(engine: Any, *what: Any) -> None:
        paced.most = [float("inf")] * (paced.calls + 3) + [0]

    monkeypatch.setattr(swapping, "warm", short_from_then_on)
    assert run(command(rainy, "clean.mkv", model, "--instant", "--tile", "none")) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if " restores in place of " in line]
    assert [line.split(":")[1] for line in told] == [
        f" from frame {SWAP} on far fp16 restores in place of onnxruntime fp32",
        f" from frame {SWAP + 3} on onnxruntime fp32 restores in place of far fp16",
    ]
    assert_like_the_cpu(rainy, model)


@pytest.fixture
def endless(device: far_backend.Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A builder that never comes to its end; the file is there once it is at work."""
    begun = tmp_path / "begun"
    text = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(1000)"
    monkeypatch.setattr(swapping, "BUILDS_PLANS", ("far",))
    monkeypatch.setattr(relay, "BUILDS_PLANS", ("far",))
    monkeypatch.setattr(swapping, "Ahead", lambda: Ahead((sys.executable, "-c", text)))
    return begun


def test_a_run_that_ends_before_the_plan_is_built_ends_the_build(
    endless: Path, rainy: Path, tmp_path: Path, capsys: Any
) -> None:
    model, began = onnx_models.conv(tmp_path), time.monotonic()
    assert run(command(rainy, "clean.mkv", model, "--instant")) == 0
    assert time.monotonic() - began < 60
    told = capsys.readouterr().err
    words = "far was not ready in time; derain engine build makes its plan once and for all"
    assert f"onnxruntime fp32 goes on restoring at frame {FRAMES - 1}: {words}" in told
    assert no_thread_is_left()
    assert_like_the_cpu(rainy, model)


class Impatient(QuietTeller):
    """Presses Ctrl-C once the build has begun."""

    def __init__(self, begun: Path) -> None:
        super().__init__()
        self._begun = begun

    def update(self, snapshot: Snapshot) -> None:
        if self._begun.exists():
            raise KeyboardInterrupt


def test_ctrl_c_during_the_build_ends_both(
    endless: Path, rainy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Relay.before

    def slow(self: Relay, number: int) -> None:
        before(self, number)
        while number == 3 and not endless.exists():
            time.sleep(0.01)
        time.sleep(0.2 * (number > 3))

    monkeypatch.setattr(Relay, "before", slow)
    job = VideoJob(rainy, tmp_path / "clean.mkv", str(onnx_models.conv(tmp_path)), codec="ffv1", instant=True)
    with pytest.raises(Interrupted) as caught:
        derain_video(job, Impatient(endless))
    assert caught.value.partials == (tmp_path / "clean.partial.mkv",)
    assert no_thread_is_left()


def test_files_wait_unless_they_are_told_not_to(
    device: far_backend.Device, rainy: Path, tmp_path: Path, capsys: Any
) -> None:
    model = onnx_models.conv(tmp_path)
    for options in ((), ("--wait-for-engine",)):
        assert run(command(rainy, "clean.mkv", model, *options, "--overwrite")) == 0
        lines = capsys.readouterr().err.splitlines()
        assert ", far fp16 (" in lines[0] and "meanwhile" not in lines[0]
        assert len(lines) == 2
    assert not VideoJob(rainy, rainy).instant


def test_where_nothing_is_slow_to_open_nothing_changes(
    device: far_backend.Device, rainy: Path, tmp_path: Path, capsys: Any
) -> None:
    device.reason = "no driver"
    model = onnx_models.conv(tmp_path)
    assert run(command(rainy, "clean.mkv", model, "--instant", "--precision", "fp32")) == 0
    lines = capsys.readouterr().err.splitlines()
    first = next(line for line in lines if "model conv" in line)
    assert ", nothing opens meanwhile: onnxruntime is what runs here, tiles" in first
    assert not [line for line in lines if "restor" in line]
    assert run(command(rainy, "other.mkv", model, "--instant", "--backend", "far")) == 1
    assert "the backend far can't run here: no driver" in capsys.readouterr().err


def test_a_precision_of_the_device_alone_is_not_asked_of_the_cpu(
    paced: far_backend.Device, rainy: Path, tmp_path: Path
) -> None:
    told: list[Change] = []

    class Listening(QuietTeller):
        def changed(self, change: Change) -> None:
            told.append(change)

    options = EngineOptions(precision="fp16")
    job = VideoJob(
        *(rainy, tmp_path / "clean.mkv", str(onnx_models.conv(tmp_path)), options), codec="ffv1", instant=True
    )
    report = derain_video(job, Listening())
    assert report.engines == tuple(told)
    assert (told[0].backend, told[0].precision, told[0].before) == ("far", "fp16", "onnxruntime fp32")


def test_nothing_is_told_where_nothing_changes(
    device: far_backend.Device, rainy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        job = VideoJob(rainy, tmp_path / "clean.mkv", str(onnx_models.conv(tmp_path)), codec="ffv1")
        assert derain_video(job).engines == ()
    assert not [record for record in caplog.records if "derain.pipeline.relay" in record.name]
