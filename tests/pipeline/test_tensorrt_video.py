"""Whole videos through the TensorRT engine, on a card of host memory."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest
import trt_run_fake
from trt_run_fake import IExecutionContext, Package

from derain.engines.engine import EngineOptions
from derain.engines.trt_shapes import FLIGHT
from derain.pipeline import Derainer
from derain.pipeline.frame import Frame
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.sources.file import FileSource

FRAMES = 40


def scene(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Rain for 10 frames, then a long dry stretch, then rain."""
    picture = np.full((height, width, 3), (0, 0, 150 + number), np.uint8)
    if number < 10 or number > FRAMES - 5:
        picture[4:20, 4:20] = (200, 10, 90)
    return picture


@pytest.fixture
def rainy(tmp_path: Path) -> Path:
    times = tuple(range(0, 40 * FRAMES, 40))
    clip = clips.Clip(times, Fraction(1, 1000), codec="ffv1", pixel_format="bgr0", picture=scene)
    return clip.write(tmp_path / "rainy.mkv")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Package:
    return trt_run_fake.attach(monkeypatch)


def restored(rainy: Path, model: Path, backend: str) -> npt.NDArray[np.int64]:
    clean = rainy.with_name(f"{backend}.mkv")
    options = EngineOptions(backend, "fp32", cache_dir=rainy.parent / "cache")
    derain_video(VideoJob(rainy, clean, str(model), options, codec="ffv1"))
    with FileSource(clean) as source:
        return np.stack([frame.pixels for frame in source]).astype(int)


@pytest.fixture
def decoded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first frame waits until four more are decoded, so that there are some to be in flight."""
    ahead = threading.Event()
    frames_of, work = FileSource.__iter__, IExecutionContext._work

    def frames(source: FileSource) -> Iterator[Frame]:
        for number, frame in enumerate(frames_of(source)):
            if number == 4:
                ahead.set()
            yield frame

    def late(context: IExecutionContext, *where: Any) -> None:
        assert ahead.wait(10)
        work(context, *where)

    monkeypatch.setattr(FileSource, "__iter__", frames)
    monkeypatch.setattr(IExecutionContext, "_work", late)


@pytest.mark.usefixtures("decoded_ahead")
def test_a_video_with_frames_in_flight_equals_the_cpus(package: Package, rainy: Path) -> None:
    """Its dry stretch is skipped alike."""
    model = onnx_models.mapped(rainy.parent, kernel=1)
    mine, right = (restored(rainy, model, backend) for backend in ("tensorrt", "onnxruntime"))
    assert mine.shape == right.shape and np.abs(mine - right).max() <= 1
    assert package.count("create_execution_context") > 1, "several lanes were used"
    uploads = sum(what == "upload" for what, _ in package.device.told)
    assert uploads < FRAMES
    assert package.broken == "" and not package.device.given


def test_python_has_frames_of_a_video_in_flight_and_those_of_a_sequence_at_once(
    package: Package, rainy: Path
) -> None:
    """Whoever makes the pictures of a sequence may wait for what became of the one before."""
    model = onnx_models.mapped(rainy.parent, kernel=1)
    cache = rainy.parent / "cache"
    with (
        Derainer(model, backend="tensorrt", precision="fp32", cache_dir=cache) as derainer,
        Derainer(model, backend="onnxruntime") as cpu,
    ):
        right = [frame.pixels for frame in cpu.video(rainy)]
        sequence = derainer.sequence(scene(number, 64, 48) for number in range(FRAMES))
        one_by_one = list(sequence)
        assert package.count("create_execution_context") == 1
        mine = list(derainer.video(rainy))
        assert package.count("create_execution_context") == FLIGHT
    for found in ([frame.pixels for frame in mine], one_by_one):
        assert np.abs(np.stack(found).astype(int) - np.stack(right)).max() <= 1
    assert [frame.pts for frame in mine] == list(range(0, 40 * FRAMES, 40))


@pytest.mark.usefixtures("decoded_ahead")
@pytest.mark.parametrize("attention", [False, True])
def test_a_network_that_remembers_does_so_on_the_card(package: Package, rainy: Path, attention: bool) -> None:
    model = onnx_models.recurrent(rainy.parent, attention=attention)
    mine, right = (restored(rainy, model, backend) for backend in ("tensorrt", "onnxruntime"))
    assert mine.shape == right.shape and np.abs(mine - right).max() <= 1
    assert package.count("create_execution_context") > 1, "several lanes were used"
    uploads = [what for what, _ in package.device.told].count("upload")
    assert uploads < FRAMES if attention else uploads == FRAMES, "no states, and no frame twice"
    assert package.broken == "" and not package.device.given
