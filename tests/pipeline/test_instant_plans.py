"""Instant start onto a plan: the engine for TensorRT, on a card and with a runtime of plain Python."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import clips
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest
import trt_run_fake
from trt_run_fake import FakeGpu, Package

from derain.engines import registry, swapping
from derain.engines.device.seam import DeviceMemoryError
from derain.engines.engine import EngineOptions
from derain.engines.trt_shapes import Traffic
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.metrics import Change
from derain.pipeline.relay import Relay
from derain.pipeline.restore import Restorer

FRAMES, SWAP = 14, 4


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """TensorRT in this process, ready between the fourth frame and the fifth; ONNX Runtime is its CPU."""
    made = trt_run_fake.attach(monkeypatch)
    cpu = next(backend for backend in registry.BACKENDS if backend.name == "onnxruntime")
    plans = replace(cpu, name="tensorrt", module="derain.engines.tensorrt", engine="TensorRTEngine")
    monkeypatch.setattr(registry, "BACKENDS", (plans, cpu))
    monkeypatch.setattr(registry, "ON_CPU", ("onnxruntime",))
    monkeypatch.setattr(swapping, "BUILDS_PLANS", ())
    before = Relay.before

    def wait(self: Relay, number: int) -> None:
        if number == SWAP and self._successor is not None:
            assert self._successor.ended.wait(30)
        if number <= 1 or number >= SWAP:
            before(self, number)

    monkeypatch.setattr(Relay, "before", wait)
    yield made
    assert made.broken == ""
    assert all(not gpu.given for gpu in made.devices), "all that a device gave came back"


def pictures(path: Path) -> list[tuple[int | None, npt.NDArray[np.int64]]]:
    with av.open(str(path)) as container:
        found = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [(pts, np.asarray(pixels, np.int64)) for pts, pixels in found]


def assert_near(one: Path, other: Path) -> None:
    """The same frames at the same times, within one level."""
    found, right = pictures(one), pictures(other)
    assert [pts for pts, _ in found] == [pts for pts, _ in right]
    assert len(found) == FRAMES
    assert all(np.abs(mine - theirs).max() <= 1 for (_, mine), (_, theirs) in zip(found, right, strict=True))


def restored(folder: Path, model: Path, name: str, instant: bool) -> tuple[Change, ...]:
    """What changed in a run from rainy.mkv to `name`; one that is not instant is the CPU's."""
    engine = EngineOptions("auto" if instant else "cpu", "fp32", cache_dir=folder / "cache")
    job = VideoJob(folder / "rainy.mkv", folder / name, str(model), engine, codec="ffv1", instant=instant)
    return derain_video(job).engines


@pytest.mark.parametrize("kind", ["conv", "recurrent"])
def test_a_plan_takes_over_and_no_picture_shows_it(
    package: Package, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three frames are in flight from then on; states lie on the card, and were brought there once."""
    model = getattr(onnx_models, kind)(tmp_path)
    clip = clips.Clip(codec="ffv1", pixel_format="bgr0", times=range(FRAMES))
    clip.write(tmp_path / "rainy.mkv")
    ways: list[int] = []
    exchange = Restorer.exchange

    def watched(self: Restorer, engine: object) -> None:
        exchange(self, engine)  # type: ignore[arg-type]
        ways.append(self.in_flight)
        gpu.append(package.devices[-1])
        gpu[0].told.clear()

    gpu: list[FakeGpu] = []
    monkeypatch.setattr(Restorer, "exchange", watched)
    (change,) = restored(tmp_path, model, "clean.mkv", instant=True)
    assert (change.frame, change.backend, change.before) == (SWAP, "tensorrt", "onnxruntime fp32")
    assert ways == [3]
    uploads = [what for what, _ in gpu[0].told].count("upload")
    assert uploads == FRAMES - SWAP + (2 if kind == "recurrent" else 0)
    assert restored(tmp_path, model, "cpu.mkv", instant=False) == ()
    assert_near(tmp_path / "clean.mkv", tmp_path / "cpu.mkv")


@pytest.mark.parametrize("kind", ["conv", "recurrent"])
def test_memory_that_runs_short_with_frames_in_flight_leaves_the_card(
    package: Package, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two frames are on the card when there is no room for the next one, however small its tiles are."""
    model = getattr(onnx_models, kind)(tmp_path)
    clips.Clip(codec="ffv1", pixel_format="bgr0", times=range(FRAMES)).write(tmp_path / "rainy.mkv")
    lane, asked = Traffic.lane, []

    def full(self: Traffic, shape: tuple[int, int, int]) -> object:
        asked.append(shape)
        if len(asked) > SWAP:
            raise DeviceMemoryError("no room")
        return lane(self, shape)

    monkeypatch.setattr(Traffic, "lane", full)
    engine = EngineOptions("tensorrt", "fp32", cache_dir=tmp_path / "cache")
    job = VideoJob(tmp_path / "rainy.mkv", tmp_path / "clean.mkv", str(model), engine, codec="ffv1")
    (change,) = derain_video(job).engines
    assert (change.frame, change.backend, change.before) == (SWAP, "onnxruntime", "tensorrt fp32")
    assert len(asked) > SWAP + 1
    assert restored(tmp_path, model, "cpu.mkv", instant=False) == ()
    assert_near(tmp_path / "clean.mkv", tmp_path / "cpu.mkv")
