"""Where memory runs short: fewer tiles, smaller tiles, the CPU; no frame is lost and each is the same."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import clips
import far_backend
import numpy as np
import onnx_models
import pytest
from fake_engine import FakeEngine, invert
from flying_engine import FlyingEngine
from holding_engine import HoldingEngine

from derain.engines import registry
from derain.engines.device.seam import DeviceMemoryError
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import DerainError
from derain.engines.registry import open_engine
from derain.pipeline import Derainer
from derain.pipeline.cli import run
from derain.pipeline.glance import open_glance
from derain.pipeline.restore import Restorer

CARD = replace(onnx_models.CARD, halo=2)
ONNX = EngineOptions("onnxruntime")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> far_backend.Device:
    return far_backend.attach(monkeypatch)


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


class Cpu(FakeEngine):
    backend = "onnxruntime"
    precision = "fp32"


def test_less_and_less_is_done_at_a_time_until_the_spare_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    engine, cpu, pixels = FakeEngine(CARD, most=10), Cpu(CARD), noise(64, 48)
    given: list[Engine] = []

    def spare(short: Engine) -> Engine:
        given.append(short)
        return cpu

    restorer = Restorer(engine, 20, batch=5, spare=spare)
    assert np.array_equal(restorer(pixels), invert(pixels))
    assert lines(caplog) == [
        "the memory ran short: going on with 2 tiles at a time instead of 5",
        "the memory ran short: going on with 1 tile at a time instead of 2",
        "the memory ran short: going on with tiles of 10 pixels instead of 20",
        "the memory ran short: going on with tiles of 5 pixels instead of 10",
    ]
    assert given == [engine] and restorer.engine is cpu
    assert cpu.shapes[0] == (5, 20, 20, 3), "another engine has memory of its own"
    assert np.array_equal(restorer(pixels), invert(pixels))
    assert given == [engine], "it stays there"


def test_as_little_as_needed_is_given_up() -> None:
    engine, pixels = FakeEngine(CARD, most=2 * 20 * 20), noise(64, 48)
    assert np.array_equal(Restorer(engine, 20, batch=5)(pixels), invert(pixels))
    assert {shape[0] for shape in engine.shapes} == {2}


def test_whole_frames_that_may_not_be_cut_go_to_the_spare() -> None:
    engine, cpu, pixels = FakeEngine(CARD, most=10), Cpu(CARD), noise(16, 16)
    assert np.array_equal(Restorer(engine, "none", spare=lambda _: cpu)(pixels), invert(pixels))
    assert cpu.shapes == [(1, 16, 16, 3)]


class FailsIn(FakeEngine):
    """`calls`: those, counted from 0, that the memory is too short for."""

    calls: tuple[int, ...] = ()
    count = -1

    def infer(self, batch: Pixels, *rest: Any) -> Pixels:
        self.count += 1
        self.most = 0 if self.count in self.calls else float("inf")
        return super().infer(batch, *rest)


@pytest.mark.parametrize("failing", [0, 1, 12, 13])
def test_a_frame_that_failed_is_done_again_whichever_of_its_tiles_it_was(failing: int) -> None:
    """12 tiles a frame: the first, the second, and those of the frame behind."""
    engine = FailsIn(CARD)
    engine.calls = (failing,)
    restorer, frames = Restorer(engine, 20), [noise(64, 48, seed) for seed in range(3)]
    assert restorer.plan is None
    restored = [restorer(frame) for frame in frames]
    assert all(np.array_equal(after, invert(before)) for before, after in zip(frames, restored, strict=True))
    assert (1, 10, 10, 3) in engine.shapes


@pytest.mark.parametrize("late", [False, True])
def test_frames_in_flight_go_to_the_spare_in_their_order(late: bool) -> None:
    engine, cpu = FlyingEngine(FakeEngine(CARD), late=late), Cpu(CARD)
    asked: list[Engine] = []

    def spare(short: Engine) -> Engine:
        asked.append(short)
        return cpu

    restorer, frames = Restorer(engine, "none", spare=spare), [noise(16, 24, seed) for seed in range(6)]
    flying, restored = [restorer.start(frame) for frame in frames[:2]], []
    engine.most = 0
    for frame in frames[2:]:
        flying.append(restorer.start(frame))
        restored.append(flying.pop(0).wait())
    restored += [ticket.wait() for ticket in flying]
    assert all(np.array_equal(after, invert(before)) for before, after in zip(frames, restored, strict=True))
    assert len(asked) == 1 and restorer.engine is cpu and restorer.in_flight == 1


def test_another_network_does_not_go_on() -> None:
    engine = FakeEngine(CARD, most=0)
    restorer = Restorer(engine, "none", spare=lambda _: Cpu(replace(CARD, name="other")))
    with pytest.raises(DerainError, match="onnxruntime can't go on for fake: its name is other, not test"):
        restorer(noise(8, 8))
    with pytest.raises(DerainError, match="its channels is 4, not 3"):
        restorer.exchange(Cpu(CARD, channels=4))
    assert restorer.engine is engine


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_models.recurrent(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def recurrent(remembering: Path) -> Iterator[Engine]:
    with open_engine(remembering, ONNX) as engine:
        yield engine


def follow(restorer: Restorer, clip: list[Pixels]) -> list[Pixels]:
    return [restorer(frame) for frame in clip]


@pytest.mark.parametrize("room", [True, False])
def test_what_is_remembered_goes_along_to_the_spare(recurrent: Engine, room: bool) -> None:
    """`room`: whether the engine holds the states itself, as one on a device does."""
    clip = [noise(24, 32, seed) for seed in range(6)]
    short = HoldingEngine(recurrent, room=room)
    restorer = Restorer(short, "none", sequence=True, spare=lambda _: recurrent)
    restored = follow(restorer, clip[:3])
    short.most = 0
    restored += follow(restorer, clip[3:])
    assert restorer.engine is recurrent
    assert np.array_equal(restored, follow(Restorer(recurrent, "none", sequence=True), clip))


@pytest.mark.parametrize("room", [True, False])
def test_what_is_remembered_goes_along_to_an_engine_that_holds_it(recurrent: Engine, room: bool) -> None:
    """(22, 30) is no multiple of what the network takes."""
    clip = [noise(22, 30, seed) for seed in range(6)]
    restorer, holding = Restorer(recurrent, sequence=True), HoldingEngine(recurrent, room=room)
    restored = follow(restorer, clip[:3])
    restorer.exchange(holding)
    restored += follow(restorer, clip[3:])
    assert np.array_equal(restored, follow(Restorer(recurrent, sequence=True), clip))
    assert (holding.opened, holding.given) == ((1, 0) if room else (0, 3))


def test_memory_that_is_lost_with_its_device_is_told_and_begun_anew(
    recurrent: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(*_: Any) -> None:
        raise DerainError("the device is gone")

    short, clip = HoldingEngine(recurrent), [noise(24, 32, seed) for seed in range(4)]
    restorer = Restorer(short, "none", sequence=True, spare=lambda _: recurrent)
    follow(restorer, clip[:2])
    monkeypatch.setattr("holding_engine.HeldHere.read", lost)
    short.most = 0
    restored = follow(restorer, clip[2:])
    assert np.array_equal(restored, follow(Restorer(recurrent, "none", sequence=True), clip[2:]))
    assert "recurrent begins anew: what it remembered is lost (the device is gone)" in lines(caplog)


def test_a_device_that_is_full_when_a_network_is_opened_is_left_for_the_cpu(
    device: far_backend.Device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device.refusals = [DeviceMemoryError("8 GiB of 8 are taken")]
    model = onnx_models.identity(tmp_path)
    with open_engine(model, EngineOptions("far", precision="fp16")) as engine:
        assert (engine.backend, engine.precision) == ("onnxruntime", "fp32")
    assert lines(caplog) == ["backend far not taken: 8 GiB of 8 are taken"]


def test_other_failures_of_a_named_backend_are_not_hidden(device: far_backend.Device, tmp_path: Path) -> None:
    device.refusals = [DerainError("the plan is broken")]
    with pytest.raises(DerainError, match="the plan is broken"):
        open_engine(onnx_models.identity(tmp_path), EngineOptions("far"))


def test_cpu_names_the_backends_there(device: far_backend.Device, tmp_path: Path) -> None:
    with open_engine(onnx_models.identity(tmp_path), EngineOptions("cpu")) as engine:
        assert engine.backend == "onnxruntime"


def test_the_backends_of_the_cpu_are_backends() -> None:
    assert set(registry.ON_CPU) <= {backend.name for backend in registry.BACKENDS}


def test_a_derainer_goes_on_on_the_cpu(device: far_backend.Device, tmp_path: Path) -> None:
    model, pixels = onnx_models.conv(tmp_path), noise(24, 32)
    device.most = [float("inf"), 0]
    with Derainer(model, tile="none") as derainer, Derainer(model, backend="cpu") as plain:
        assert (derainer.backend, plain.backend) == ("far", "onnxruntime")
        for _ in range(3):
            assert np.array_equal(derainer(pixels), plain(pixels))
        assert derainer.backend == "onnxruntime"
        assert all(np.array_equal(one, plain(pixels)) for one in derainer.sequence([pixels, pixels]))


def test_the_glance_has_a_spare_too(device: far_backend.Device, shelf: Path) -> None:
    onnx_models.glance(shelf)
    device.most = [0]
    with ExitStack() as stack:
        glance = open_glance(EngineOptions(), stack)
        assert glance is not None and device.opened
        assert glance(np.full((64, 64, 3), 255, np.uint8)).min() == 1


def test_a_video_that_the_device_has_no_memory_for_loses_no_frame(
    device: far_backend.Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is gone for the second of the two tiles of the sixth frame, and never comes back."""
    rainy = clips.Clip(codec="ffv1", pixel_format="bgr0").write(tmp_path / "rainy.mkv")
    line = [
        "video",
        str(rainy),
        "--model",
        str(onnx_models.conv(tmp_path)),
        "--codec",
        "ffv1",
        "--tile",
        "48",
    ]
    assert run([*line, str(tmp_path / "cpu.mkv"), "--backend", "cpu"]) == 0
    tiles = device.calls
    device.most = [float("inf")] * (5 * 2 + 1) + [0]
    assert run([*line, str(tmp_path / "far.mkv")]) == 0
    told = capsys.readouterr().err
    assert "model conv 1, far fp16" in told
    assert "warning: the memory ran short: going on with tiles of 24 pixels instead of 48" in told
    words = "onnxruntime fp32 restores in place of far fp16: the memory is too short for far however little"
    assert f"derain: from frame 5 on {words} it does at a time" in told
    assert tiles == 0 and device.calls > 11
    assert_same(tmp_path / "far.mkv", tmp_path / "cpu.mkv")


def assert_same(one: Path, other: Path) -> None:
    """The same pictures at the same times."""
    with av.open(str(one)) as first, av.open(str(other)) as second:
        for here, there in zip(first.decode(video=0), second.decode(video=0), strict=True):
            assert (here.pts, here.time_base) == (there.pts, there.time_base)
            assert np.array_equal(here.to_ndarray(format="rgb24"), there.to_ndarray(format="rgb24"))
