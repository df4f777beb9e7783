import json
import re
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest

from derain.engines.engine import EngineOptions
from derain.pipeline.cli import run
from derain.pipeline.job import VideoJob, derain_video, expected_frames
from derain.pipeline.sources.file import FileSource

Picture = npt.NDArray[np.int64]


def darker(folder: Path) -> Path:
    """A network whose work shows: it gives back half of every value."""
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights[[0, 1, 2], [0, 1, 2]] = 0.5
    return onnx_models.conv(folder, name="darker", weights=weights)


def derain(folder: Path, *options: str | Path, source: Path | None = None) -> int:
    """`derain video rainy.mkv clean.mkv --model darker.onnx OPTIONS` in a folder, of a clip of 12 frames."""
    rainy = source or clips.Clip(codec="ffv1", pixel_format="bgr0").write(folder / "rainy.mkv")
    line = ["video", rainy, folder / "clean.mkv", "--model", darker(folder), "--codec", "ffv1", *options]
    return run([str(word) for word in line])


def pictures(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [Fraction(str(frame.time)) for frame in container.decode(video=0)]


def near(one: Picture, other: Picture, levels: int = 1) -> bool:
    return one.shape == other.shape and bool(np.abs(one - other).max() <= levels)


def test_a_video_is_restored_with_its_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert derain(tmp_path) == 0
    rainy, clean = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "clean.mkv")
    assert len(clean) == 12
    assert all(near(after, before // 2) for before, after in zip(rainy, clean, strict=True))
    assert times(tmp_path / "clean.mkv") == times(tmp_path / "rainy.mkv")
    lines = capsys.readouterr().err.splitlines()
    assert re.match(
        r"derain: model darker 1, openvino( \(.*?\))? fp32 \(no darker.int8.onnx beside it\), ", lines[0]
    )
    assert lines[-1].startswith("derain: 12 frames in ")
    assert lines[-1].endswith(f"written to {tmp_path / 'clean.mkv'}")


def test_strength_blends(tmp_path: Path) -> None:
    assert derain(tmp_path, "--strength", "0.5") == 0
    rainy, clean = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "clean.mkv")
    assert near(clean[5], rainy[5] * 3 // 4)


def test_side_by_side_is_twice_as_wide(tmp_path: Path) -> None:
    assert derain(tmp_path, "--compare", "side") == 0
    rainy, both = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "clean.mkv")
    assert near(both[5][:, :62], rainy[5][:, :62])
    assert near(both[5][:, 66:], rainy[5][:, 2:] // 2)


def test_split_shows_each_half(tmp_path: Path) -> None:
    assert derain(tmp_path, "--compare", "split") == 0
    rainy, both = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "clean.mkv")
    assert near(both[5][:, :28], rainy[5][:, :28])
    assert near(both[5][:, 36:], rainy[5][:, 36:] // 2)


def test_the_rain_layer_is_a_video_of_its_own(tmp_path: Path) -> None:
    assert derain(tmp_path, "--rain-layer", tmp_path / "rain.mkv") == 0
    rainy, rain = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "rain.mkv")
    assert len(rain) == len(pictures(tmp_path / "clean.mkv")) == 12
    assert near(rain[5], np.clip(128 + rainy[5] - rainy[5] // 2, 0, 255))
    assert times(tmp_path / "rain.mkv") == times(tmp_path / "rainy.mkv")


def test_start_and_duration_cut_exactly(tmp_path: Path) -> None:
    assert derain(tmp_path, "--start", "0.12", "--duration", "00:00:00.2") == 0
    rainy, clean = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "clean.mkv")
    assert len(clean) == 5
    assert near(clean[0], rainy[3] // 2)
    assert times(tmp_path / "clean.mkv")[0] == 0


def test_codec_crf_and_options_reach_the_encoder(tmp_path: Path) -> None:
    sizes = {}
    for crf in ("0", "50"):
        options = ["--codec", "libx264", "--crf", crf, "-e", "preset=ultrafast", "--encoder-option", "bf=0"]
        assert derain(tmp_path, *options, "--overwrite") == 0
        with av.open(str(tmp_path / "clean.mkv")) as container:
            assert container.streams.video[0].codec_context.name == "h264"
        sizes[crf] = (tmp_path / "clean.mkv").stat().st_size
    assert sizes["0"] > sizes["50"]


def test_tiles_give_the_same_pictures(tmp_path: Path) -> None:
    assert derain(tmp_path) == 0
    whole = pictures(tmp_path / "clean.mkv")
    assert derain(tmp_path, "--tile", "16", "--overwrite") == 0
    tiled = pictures(tmp_path / "clean.mkv")
    assert all(near(one, other) for one, other in zip(whole, tiled, strict=True))


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_the_backend_and_threads_can_be_chosen(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain(tmp_path, "--backend", backend, "--threads", "1", "--precision", "fp32") == 0
    assert f"{backend} fp32" in capsys.readouterr().err


def test_overwrite_replaces(tmp_path: Path) -> None:
    (tmp_path / "clean.mkv").write_bytes(b"old")
    assert derain(tmp_path, "--overwrite") == 0
    assert len(pictures(tmp_path / "clean.mkv")) == 12


def test_ten_bit_pictures_stay_so(tmp_path: Path) -> None:
    clip = clips.Clip(codec="ffv1", pixel_format="yuv444p10le").write(tmp_path / "deep.mkv")
    assert derain(tmp_path, source=clip) == 0
    with av.open(str(tmp_path / "clean.mkv")) as container:
        assert next(container.decode(video=0)).format.name == "yuv444p10le"
    rainy, clean = pictures(clip), pictures(tmp_path / "clean.mkv")
    assert near(clean[5], rainy[5] // 2, levels=3)


def test_json_tells_start_and_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert derain(tmp_path, "--json") == 0
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("start", "end")
    assert events[0]["model"] == "darker"
    assert events[-1]["files"] == [str(tmp_path / "clean.mkv")]
    assert events[-1]["frames"] == 12
    assert said.err == ""


def test_json_tells_a_failure_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert derain(tmp_path, "--json", source=tmp_path / "missing.mkv") == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["status"] == "failed"
    assert "no file" in said.err


def test_the_same_from_python(tmp_path: Path) -> None:
    rainy = clips.Clip().write(tmp_path / "rainy.mp4")
    model = str(onnx_models.identity(tmp_path))
    job = VideoJob(rainy, tmp_path / "clean.mp4", model=model, engine=EngineOptions(threads=1))
    report = derain_video(job)
    assert (report.frames, report.held, report.shortfall) == (12, 0, None)


@pytest.mark.parametrize(
    ("start", "duration", "frames"),
    [
        (None, None, 50),
        (Fraction("0.4"), None, 40),
        (Fraction("0.4"), Fraction("0.2"), 5),
        (Fraction("0.4"), Fraction(60), 40),
        (Fraction(3), None, 0),
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_frames_expected_of_a_cut(
    ending: str, start: Fraction | None, duration: Fraction | None, frames: int, tmp_path: Path
) -> None:
    """For the bar and the time to go; Matroska counts no frames, but knows how long it is."""
    source = FileSource(clips.Clip(times=range(50)).write(tmp_path / f"rainy.{ending}"))
    assert expected_frames(source, start, duration) == frames
