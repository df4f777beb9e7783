"""`derain video --show-attention FILE`: a heat map of where the network sees rain, as a video of its own."""

import json
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import media
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest

from derain.engines.card import Tiling
from derain.pipeline.cli import run
from derain.pipeline.compare import heat_map
from derain.pipeline.sources.file import FileSource

Picture = npt.NDArray[np.int64]


def red_right(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Red is what the test network attends to: none on the left, all on the right; both are dark in grey."""
    picture = np.full((height, width, 3), 76, np.uint8)
    picture[:, :, 0] = 0
    picture[:, width // 2 :] = (255, 0, 0)
    return picture


def line(folder: Path, *options: str | Path, clip: clips.Clip | None = None, **card: Any) -> list[str]:
    """`derain video rainy.mkv clean.mkv --show-attention heat.mkv OPTIONS`, the network attending to red."""
    rainy = folder / "rainy.mkv"
    (clip or clips.Clip(codec="ffv1", pixel_format="bgr0", picture=red_right)).write(rainy)
    model = onnx_models.attentive(folder, **card)
    words = ["video", rainy, folder / "clean.mkv", "--show-attention", folder / "heat.mkv", "--model", model]
    return [str(word) for word in (*words, "--codec", "ffv1", *options)]


def pictures(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def test_it_is_hot_where_the_network_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line(tmp_path)) == 0
    heat = pictures(tmp_path / "heat.mkv")
    assert len(heat) == 12
    assert heat[5].shape == (48, 64, 3)
    cold, hot = heat[5][:, :30].mean((0, 1)), heat[5][:, 34:].mean((0, 1))
    assert hot.sum() > 2 * cold.sum()
    assert hot[0] > hot[2] + 20, "the hottest is yellow"
    assert np.ptp(cold) < 5, "where nothing is, the grey picture shows"
    rainy, clean = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "clean.mkv")
    assert np.abs(clean[5] - rainy[5] / 2).max() <= 1, "the main output is as without it"
    assert capsys.readouterr().err.endswith(f"written to {tmp_path / 'clean.mkv'}, {tmp_path / 'heat.mkv'}\n")


def test_times_of_a_variable_rate_and_sound_are_those_of_the_input(tmp_path: Path) -> None:
    times = [7, 8, 11, 12, 30, 31]
    clip = clips.Clip(times, Fraction(1, 100), audio=["eng"], audio_codec="flac", picture=red_right)
    assert run(line(tmp_path, clip=clip)) == 0
    rainy, heat = media.read(tmp_path / "rainy.mkv"), media.read(tmp_path / "heat.mkv")
    assert heat.times == rainy.times == [Fraction(time, 100) for time in times]
    assert [stream.packets for stream in heat.others()] == [stream.packets for stream in rainy.others()]


@pytest.mark.parametrize("options", [["--tile", "16"], ["--strength", "0"], ["--compare", "side"]])
def test_it_is_the_same_in_tiles_at_any_strength_and_beside_a_comparison(
    tmp_path: Path, options: list[str]
) -> None:
    clip = clips.Clip(codec="ffv1", pixel_format="bgr0", times=range(3))
    assert run(line(tmp_path, clip=clip, kernel=5)) == 0
    expected = pictures(tmp_path / "heat.mkv")
    assert run(line(tmp_path, *options, "--overwrite", clip=clip, kernel=5)) == 0
    for one, other in zip(expected, pictures(tmp_path / "heat.mkv"), strict=True):
        assert np.abs(one - other).max() <= 2


def test_strength_is_for_the_colours_only(tmp_path: Path) -> None:
    assert run(line(tmp_path, "--strength", "0.5")) == 0
    rainy, clean = pictures(tmp_path / "rainy.mkv"), pictures(tmp_path / "clean.mkv")
    assert np.abs(clean[5] - rainy[5] * 0.75).max() <= 1


def test_a_network_for_whole_frames_shows_it_too(tmp_path: Path) -> None:
    clip = clips.Clip(codec="ffv1", pixel_format="bgr0", times=range(3), width=67, height=45)
    assert run(line(tmp_path, clip=clip, tiling=Tiling.WHOLE_FRAME, multiple_of=8)) == 0
    assert [picture.shape for picture in pictures(tmp_path / "heat.mkv")] == [(45, 67, 3)] * 3


def test_ten_bit_video_gives_a_ten_bit_heat_map(tmp_path: Path) -> None:
    clip = clips.Clip(codec="ffv1", pixel_format="yuv444p10le", times=range(2), picture=red_right)
    assert run(line(tmp_path, clip=clip)) == 0
    assert media.read(tmp_path / "heat.mkv").pixel_format == "yuv444p10le"
    with FileSource(tmp_path / "rainy.mkv") as rainy, FileSource(tmp_path / "heat.mkv") as heat:
        before, shown = next(iter(rainy)).pixels, next(iter(heat)).pixels
    expected = heat_map(before, np.ascontiguousarray(before[..., 0]))
    assert np.abs(shown.astype(int) - expected).max() <= 3 * 64


def test_it_is_turned_as_the_input_is(tmp_path: Path) -> None:
    def turn(stream: Any) -> None:
        stream.set_display_matrix((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))

    rainy = clips.Clip(times=range(2), edit=turn, picture=red_right).write(tmp_path / "rainy.mp4")
    model = onnx_models.attentive(tmp_path)
    words = ["video", rainy, tmp_path / "clean.mp4", "--show-attention", tmp_path / "heat.mp4"]
    assert run([str(word) for word in (*words, "--model", model)]) == 0
    with FileSource(rainy) as before, FileSource(tmp_path / "heat.mp4") as after:
        assert before.info.rotation
        assert after.info.display_matrix == before.info.display_matrix
        assert (after.info.width, after.info.height) == (64, 48)


def test_json_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line(tmp_path, "--rain-layer", tmp_path / "rain.mkv", "--json")) == 0
    events = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    files = [str(tmp_path / f"{name}.mkv") for name in ("clean", "rain", "heat")]
    assert events[0]["outputs"] == events[-1]["files"] == files
    assert pictures(tmp_path / "rain.mkv")[0].shape == (48, 64, 3)


def test_ctrl_c_keeps_it_as_far_as_it_came(tmp_path: Path) -> None:
    words = line(tmp_path, "--json", clip=clips.Clip(times=range(3000), codec="ffv1", pixel_format="bgr0"))
    with subprocess.Popen(
        [sys.executable, "-m", "derain.pipeline", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if (event := json.loads(text))["event"] == "progress" and event["frames"]:
                process.send_signal(signal.SIGINT)
                break
        end = json.loads(process.stdout.read().splitlines()[-1])
    kept = [tmp_path / "clean.partial.mkv", tmp_path / "heat.partial.mkv"]
    assert (process.returncode, end["files"]) == (130, [str(path) for path in kept])
    assert [len(pictures(path)) for path in kept] == [end["frames"]] * 2
    assert {path.name for path in tmp_path.glob("*.mkv")} == {"rainy.mkv", *(path.name for path in kept)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_heat_map_of_both_depths(dtype: Any) -> None:
    peak = int(np.iinfo(dtype).max)
    rainy = np.full((1, 3, 3), peak // 2, dtype)
    shown = heat_map(rainy, np.array([[0, peak // 2, peak]], dtype))
    assert (shown.dtype, shown.shape) == (dtype, (1, 3, 3))
    light = shown[0].astype(float).sum(axis=1) / peak
    assert (np.diff(light) > 0.2).all(), "brighter with every step"
    assert abs(light[0] - 3 / 4) < 0.03, "half the grey picture, and nothing of the map"
