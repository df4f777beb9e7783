"""The engine that is to take over: opened in the background, checked, ended at any moment."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import far_backend
import onnx_models
import psutil
import pytest

from derain.engines import swapping
from derain.engines.ahead import Ahead
from derain.engines.device.seam import DeviceMemoryError
from derain.engines.engine import Engine, EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.registry import open_engine
from derain.engines.swapping import Successor, probe_shape

CPU = EngineOptions("onnxruntime")
FAR = EngineOptions("far")
SHAPE = (2, 24, 32)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> far_backend.Device:
    return far_backend.attach(monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return onnx_models.conv(tmp_path)


@pytest.fixture
def now(model: Path) -> Iterator[Engine]:
    with open_engine(model, CPU) as engine:
        yield engine


def ended(successor: Successor) -> Engine | None:
    successor.start(SHAPE)
    assert successor.ended.wait(30)
    return successor.take()


def test_it_opens_checks_and_warms_an_engine(device: far_backend.Device, model: Path, now: Engine) -> None:
    successor = Successor(model, EngineOptions(), ["far"], now)
    assert not successor.begun and not successor.ready
    engine = ended(successor)
    assert engine is device.opened[0] and successor.take() is None
    assert "opened and checked in" in successor.reason and "at worst flat no difference" in successor.reason
    assert device.shapes[-1] == (*SHAPE, 3), "so that the first frame need not wait"
    successor.close()
    assert not device.opened[0].closed, "whoever took it closes it"


def test_an_engine_that_nobody_takes_is_closed(device: far_backend.Device, model: Path, now: Engine) -> None:
    successor = Successor(model, FAR, ["far"], now)
    successor.start(SHAPE)
    assert successor.ended.wait(30) and successor.ready
    successor.close()
    successor.close()
    assert device.opened[0].closed and not successor.ready


def test_one_that_was_never_started_is_closed_too(
    device: far_backend.Device, model: Path, now: Engine
) -> None:
    successor = Successor(model, FAR, ["far"], now)
    successor.close()
    assert not successor.ready and not device.opened


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (DerainError("the builder gave up"), "far: the builder gave up"),
        (ValueError("a number"), "ValueError: a number"),
    ],
)
def test_a_failure_to_open_is_its_reason(
    device: far_backend.Device, model: Path, now: Engine, refusal: Exception, words: str
) -> None:
    device.refusals = [refusal]
    successor = Successor(model, FAR, ["far"], now)
    assert ended(successor) is None
    assert successor.reason == words


def test_an_engine_that_computes_something_else_does_not_take_over(
    device: far_backend.Device, model: Path, now: Engine
) -> None:
    device.wrong = 9
    successor = Successor(model, FAR, ["far"], now)
    assert ended(successor) is None
    assert "far: it does not compute what the network does (flat " in successor.reason
    assert device.opened[0].closed


def test_another_network_does_not_take_over(device: far_backend.Device, now: Engine, tmp_path: Path) -> None:
    other = onnx_models.conv(tmp_path, name="other")
    successor = Successor(other, FAR, ["far"], now)
    assert ended(successor) is None
    assert successor.reason == "far: its name is other, not conv"


def test_a_device_without_memory_for_it_does_not_make_the_cpu_take_over_from_itself(
    device: far_backend.Device, model: Path, now: Engine
) -> None:
    device.refusals = [DeviceMemoryError("full")]
    successor = Successor(model, FAR, ["far"], now)
    assert ended(successor) is None
    assert successor.reason == "far: there is no memory left on its device"


def test_the_next_backend_is_tried(device: far_backend.Device, model: Path, now: Engine) -> None:
    device.refusals = [DerainError("it broke")]
    successor = Successor(model, EngineOptions(), ["far", "far"], now)
    assert successor.names == "far or far"
    assert ended(successor) is device.opened[0]
    device.opened[0].close()


def test_closing_waits_for_an_opening_that_comes_to_its_end(
    device: far_backend.Device, model: Path, now: Engine
) -> None:
    device.gate = threading.Event()
    successor = Successor(model, FAR, ["far"], now)
    successor.start(SHAPE)
    threading.Timer(0.2, device.gate.set).start()
    successor.close()
    assert successor.ended.is_set() and not successor.ready
    assert all(engine.closed for engine in device.opened)
    assert "derain-successor" not in [thread.name for thread in threading.enumerate()]


def test_an_opening_that_does_not_come_to_its_end_is_left_behind(
    device: far_backend.Device,
    model: Path,
    now: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(swapping, "GRACE", 0.1)
    device.gate = threading.Event()
    successor = Successor(model, FAR, ["far"], now)
    successor.start(SHAPE)
    successor.close()
    assert "far did not stop opening within 0.1 seconds and is left behind" in caplog.text
    device.gate.set()
    assert successor.ended.wait(30)


def test_recurrent_and_scoring_networks_are_checked_and_warmed_too(
    device: far_backend.Device, tmp_path: Path
) -> None:
    for model, options in (
        (onnx_models.recurrent(tmp_path), FAR),
        (onnx_models.mapped(tmp_path), replace(FAR, scores=True, attention=True, dtype="uint16")),
    ):
        with open_engine(model, replace(options, backend="onnxruntime")) as now:
            engine = ended(Successor(model, options, ["far"], now))
            assert engine is not None
            engine.close()


def test_probes_are_large_enough_for_tiles() -> None:
    assert probe_shape(replace(onnx_models.CARD, halo=40, multiple_of=16)) == (1, 256, 256)
    assert probe_shape(replace(onnx_models.CARD, halo=200, multiple_of=12)) == (1, 444, 444)


def test_plans_are_built_ahead_in_a_process_of_their_own(
    device: far_backend.Device, model: Path, now: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(swapping, "BUILDS_PLANS", ("far",))
    monkeypatch.setattr(Ahead, "open", lambda self, *what: asked.append(what))
    engine = ended(Successor(model, EngineOptions(threads=1), ["far"], now))
    assert engine is not None
    engine.close()
    assert asked == [(model, EngineOptions("far", threads=1), SHAPE)]


def test_plans_that_can_not_be_kept_are_built_here(
    device: far_backend.Device, model: Path, now: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another process would build them in vain."""
    (tmp_path / "file").write_bytes(b"no folder")
    monkeypatch.setattr(swapping, "BUILDS_PLANS", ("far",))
    monkeypatch.setattr(Ahead, "open", lambda self, *what: pytest.fail("in vain"))
    engine = ended(Successor(model, EngineOptions(cache_dir=tmp_path / "file"), ["far"], now))
    assert engine is not None
    engine.close()


def test_a_process_fills_the_cache(tmp_path: Path, model: Path) -> None:
    options = EngineOptions("openvino", cache_dir=tmp_path / "cache")
    Ahead().open(model, options, SHAPE)
    assert list((tmp_path / "cache" / "openvino").iterdir())


def test_what_fails_over_there_fails_here(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no derain card"):
        Ahead().open(onnx_models.without_card(tmp_path), CPU, SHAPE)


def program(text: str) -> Ahead:
    """One that runs other lines of Python."""
    return Ahead((sys.executable, "-c", text))


def test_a_process_that_crashes_is_told_with_its_last_words(model: Path) -> None:
    crashed = "print('libcuda: bus error', flush=True); import os; os._exit(7)"
    with pytest.raises(DerainError, match="ended with the code 7: libcuda: bus error"):
        program(crashed).open(model, CPU, SHAPE)


def test_what_is_logged_over_there_is_logged_here(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = "print('noise'); from derain.engines import ahead; ahead.tell(30, 'it is slow')"
    program(said).open(model, CPU, SHAPE)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(30, "it is slow")]


def test_a_program_that_is_not_there(model: Path) -> None:
    with pytest.raises(DerainError, match="no process could be started to build it: No such file"):
        Ahead(("no-such-python",)).open(model, CPU, SHAPE)


@pytest.fixture
def endless(tmp_path: Path) -> Ahead:
    """A builder that never comes to its end; it leaves its number in a file."""
    return program(
        f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "time.sleep(1000)"
    )


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_build_is_ended_at_once(
    device: far_backend.Device,
    model: Path,
    now: Engine,
    endless: Ahead,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(swapping, "BUILDS_PLANS", ("far",))
    monkeypatch.setattr(swapping, "Ahead", lambda: endless)
    successor = Successor(model, FAR, ["far"], now)
    successor.start(SHAPE)
    until((tmp_path / "pid").exists)
    successor.close()
    assert successor.reason == "far: it was called off"
    until(
        lambda: (tmp_path / "pid").read_text() and not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    )
    assert not device.opened
    with pytest.raises(DerainError, match="called off"):
        endless.open(model, FAR, SHAPE)


def test_a_build_whose_parent_is_gone_ends(tmp_path: Path, model: Path) -> None:
    """The parent is killed, so that it can tell nobody."""
    child = (
        "import os, pathlib, time; from derain.engines import ahead\n"
        "def opened(*_):\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(1000)\n"
        "ahead.open_engine = opened\n"
        "ahead.main()"
    )
    parent = psutil.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, sys; from derain.engines.ahead import Ahead\n"
            "from derain.engines.engine import EngineOptions\n"
            f"child = {child!r}\n"
            "Ahead((sys.executable, '-c', child)).open(pathlib.Path('model'), EngineOptions(), (1, 8, 8))",
        ]
    )
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    builder = int((tmp_path / "pid").read_text())
    assert psutil.Process(builder).nice() >= 10
    parent.kill()
    parent.wait()
    until(lambda: not psutil.pid_exists(builder))
