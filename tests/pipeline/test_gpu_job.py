"""`derain video` on a card of host memory: the same pictures as on the CPU, whatever way they take."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_models
import pytest
import trt_run_fake
from card_video import CardDriver, CardEngine, Opening, clip, pictures
from host_cuda import HostCuda

from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.pipeline import progress
from derain.pipeline.cli import run
from derain.pipeline.gpu import nvrtc, way
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.progress import QuietTeller


class Facts(QuietTeller):
    """Keeps what the first line says."""

    def start(self, facts: progress.Facts) -> None:
        self.facts = facts


WET = (*range(4), *range(34, 40), *range(60, 66))
"""Frames of the film in which it rains: red, which the network halves with all else."""


def film(number: int, width: int, height: int) -> Any:
    """Rain, a dry stretch, rain, a dry one, rain in what is another scene now."""
    picture = np.full((height, width, 3), (10, 10, 80 + number), np.uint8)
    picture[::7, ::5, 1] = 90
    if number > 45:
        picture = 255 - picture
        picture[..., 0] = 10
    if number in WET:
        picture[:, : width // 8, 0] = 200
    return picture


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("glanced", [False, True])
def test_dry_frames_stay_on_the_card_and_skip_the_network_as_on_the_cpu(
    tmp_path: Path, shelf: Path, request: pytest.FixtureRequest, glanced: bool, bits: int
) -> None:
    """Two stretches, each faded in and out, and a cut: judged the same, and every picture the same."""
    if glanced:
        onnx_models.glance(shelf)
    model = onnx_models.mapped(tmp_path, kernel=1, dry_below=0.1)
    pixel_format = "yuv420p" if bits == 8 else "yuv420p10le"
    source = clip(
        tmp_path, times=range(0, 2640, 40), codec="ffv1", pixel_format=pixel_format, picture=film, width=50
    )
    wanted = VideoJob(source, tmp_path / "cpu.mkv", str(model), EngineOptions("onnxruntime"), codec="ffv1")
    expected = derain_video(wanted)
    engines: list[CardEngine] = request.getfixturevalue("on_card")
    teller = Facts()
    report = derain_video(replace(wanted, output=tmp_path / "card.mkv"), teller)
    assert (teller.facts.decoder, teller.facts.decoder_reason) == ("nvdec", "")
    assert ", bypass auto (" in teller.facts.line() and ", decoder nvdec, " in teller.facts.line()
    assert report.rain is not None and report.rain == expected.rain
    assert report.rain.bypassed > 10 and engines[0].enqueued < report.frames
    compared = zip(pictures(tmp_path / "card.mkv"), pictures(tmp_path / "cpu.mkv"), strict=True)
    for number, ((_, got), (_, same)) in enumerate(compared):
        np.testing.assert_array_equal(got, same, f"frame {number}")


def test_a_job_that_the_host_has_to_see_brings_its_pictures_there_and_says_so(
    tmp_path: Path, on_card: list[CardEngine]
) -> None:
    source, model = clip(tmp_path), onnx_models.identity(tmp_path)
    wanted = VideoJob(source, tmp_path / "clean.mkv", str(model), EngineOptions("onnxruntime"))
    for wishes, reason in (
        ({"compare": "split"}, "rainy and restored are compared"),
        ({"rain_layer": tmp_path / "rain.mkv"}, "further videos are made of them"),
        ({"tile": 16}, "it restores in tiles"),
        ({"strength": 0.5}, "the strength is less than 1"),
    ):
        teller = Facts()
        derain_video(replace(wanted, overwrite=True, **wishes), teller)
        assert f"decoder nvdec (brought to the host: {reason})" in teller.facts.line()
    assert on_card[-1].enqueued == 0


def test_a_decoder_that_there_is_not_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes auto, nvdec or software"):
        derain_video(VideoJob(tmp_path / "no.mkv", tmp_path / "clean.mkv", decoder="vulkan"))  # type: ignore[arg-type]


def test_doctor_says_whether_videos_can_stay_on_a_card(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what stands in the way, the driver before the compiler of kernels."""
    monkeypatch.setattr(way, "Driver", lambda: Driver(names=("libno-such-driver.so",)))
    run(["doctor"])
    assert "Video on an NVIDIA card: there is no NVIDIA driver here" in capsys.readouterr().out
    monkeypatch.setattr(way, "Driver", willing_driver)
    monkeypatch.setattr(nvrtc, "unavailable", lambda: "NVRTC is not installed")
    run(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["video_on_card"], report["video_on_card_reason"]) == (False, "NVRTC is not installed")
    monkeypatch.setattr(nvrtc, "unavailable", lambda: "")
    run(["doctor"])
    assert "Video on an NVIDIA card: works where the card decodes it" in capsys.readouterr().out


def willing_driver() -> SimpleNamespace:
    """A driver that opens and closes."""
    return SimpleNamespace(close=lambda: None)


def test_pictures_that_tensorrt_restores_come_down_once_and_never_go_up(
    tmp_path: Path, cuda: HostCuda, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the engine itself, over a runtime of plain Python: a longer video has only more to bring down."""
    package = trt_run_fake.attach(monkeypatch)
    monkeypatch.setattr(way, "Driver", lambda: CardDriver(cuda, package.device))
    model = onnx_models.mapped(tmp_path, kernel=1)
    options = EngineOptions("tensorrt", "fp32", cache_dir=tmp_path / "cache")
    moved: list[Counter[str]] = []
    for count in (6, 9, 12):  # the first has the plan built and checked
        source = clip(tmp_path, f"{count}.mkv", times=range(0, 40 * count, 40), codec="ffv1")
        wanted = VideoJob(source, tmp_path / f"card{count}.mkv", str(model), options, codec="ffv1")
        teller = Facts()
        derain_video(wanted, teller)
        assert (teller.facts.backend, teller.facts.decoder) == ("tensorrt", "nvdec")
        assert teller.facts.decoder_reason == ""
        moved.append(Counter(what for what, _ in package.device.told))
    assert moved[2]["upload"] == moved[1]["upload"]
    assert moved[2]["download"] - moved[1]["download"] == 3 * 3, "planes, scores, and a few pixels"
    cpu = replace(wanted, output=tmp_path / "cpu.mkv", engine=EngineOptions("onnxruntime"))
    opening.asked.clear()
    derain_video(replace(cpu, decoder="software"))
    compared = zip(pictures(wanted.output), pictures(cpu.output), strict=True)
    assert max(np.abs(got.astype(int) - same).max() for (_, got), (_, same) in compared) <= 1
