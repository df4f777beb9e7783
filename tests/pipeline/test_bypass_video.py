"""The bypass through `derain video` and from Python: what comes out, and what is told of it."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
import numpy as np
import numpy.typing as npt
import onnx_models
import pytest

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.pipeline import Derainer
from derain.pipeline.bypass import SETTLE
from derain.pipeline.cli import run as derain
from derain.pipeline.sources.file import FileSource

WET = (*range(4), *range(34, 40))
"""Frames of the film in which it rains: red, which the network halves with all else."""


def film(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Rain, a dry stretch, rain: never so sudden that it were a cut."""
    picture = np.full((height, width, 3), (10, 10, 80 + number), np.uint8)
    if number in WET:
        picture[:, : width // 8, 0] = 120
    return picture


@pytest.fixture(scope="module")
def rainy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    times = tuple(range(0, 1600, 40))
    clip = clips.Clip(times, Fraction(1, 1000), codec="ffv1", pixel_format="bgr0", picture=film)
    return clip.write(tmp_path_factory.mktemp("film") / "rainy.mkv")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_models.mapped(tmp_path_factory.mktemp("network"), kernel=1)


@pytest.fixture
def glance(shelf: Path) -> Path:
    return onnx_models.glance(shelf)


@pytest.fixture
def no_glance(shelf: Path) -> None:
    """An installation that has none."""


def frames(path: Path) -> Iterator[Pixels]:
    with FileSource(path) as source:
        for frame in source:
            yield frame.pixels


def untouched(rainy: Path, restored: list[Pixels]) -> list[int]:
    """The numbers of the frames that are as they were."""
    pairs = enumerate(zip(frames(rainy), restored, strict=True))
    return [number for number, (before, after) in pairs if np.array_equal(before, after)]


def video(rainy: Path, output: Path, model: Path, *options: str) -> int:
    line = ["video", rainy, output, "--model", model, "--codec", "ffv1", "--backend", "onnxruntime", *options]
    return derain([str(word) for word in line])


def told(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first and the last event."""
    lines = capsys.readouterr().out.splitlines()
    return json.loads(lines[0]), json.loads(lines[-1])


def test_dry_frames_of_a_video_are_not_touched(
    rainy: Path, network: Path, glance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert video(rainy, tmp_path / "clean.mkv", network, "--json") == 0
    restored = list(frames(tmp_path / "clean.mkv"))
    begin = 4 + SETTLE
    assert untouched(rainy, restored) == list(range(begin - 1, 34))
    assert all((restored[n][:, :8, 0] == 60).all() for n in WET)
    start, end = told(capsys)
    assert (start["bypass"], start["bypass_reason"]) == ("auto", "with the glance")
    assert (end["rain"]["frames"], end["rain"]["bypassed"]) == (40, 34 - begin)
    assert "(0.47 at most), 18 of 40 frames bypassed, written" in end["message"]


def test_without_a_glance_that_is_said_and_the_network_looks(
    rainy: Path, network: Path, no_glance: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert video(rainy, tmp_path / "clean.mkv", network, "--json") == 0
    start, end = told(capsys)
    assert start["bypass_reason"] == "no glance here: the network looks every 0.5 s"
    assert end["rain"]["bypassed"] == 40 - 4 - SETTLE - 2


def test_off_all_frames_are_restored_and_the_rain_is_told(
    rainy: Path, network: Path, glance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert video(rainy, tmp_path / "clean.mkv", network, "--json", "--bypass", "off") == 0
    assert untouched(rainy, list(frames(tmp_path / "clean.mkv"))) == []
    start, end = told(capsys)
    assert (start["bypass"], start["bypass_reason"]) == ("off", "")
    assert end["rain"]["greatest"] == 0.471 and not end["rain"]["bypassed"]


def test_a_network_without_a_map_says_once_that_the_bypass_is_off(
    rainy: Path, glance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx_models.identity(tmp_path)
    assert video(rainy, tmp_path / "clean.mkv", model, "--no-progress") == 0
    said = capsys.readouterr().err
    assert said.count("bypass off (identity has no attention map to see rain by)") == 1
    assert said.count("bypass") == 1


def test_at_strength_0_nothing_is_run(
    rainy: Path, network: Path, glance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert video(rainy, tmp_path / "clean.mkv", network, "--json", "--strength", "0") == 0
    start, end = told(capsys)
    assert (start["bypass"], start["bypass_reason"]) == ("off", "nothing is taken out")
    assert "rain" not in end and len(untouched(rainy, list(frames(tmp_path / "clean.mkv")))) == 40


def test_pictures_after_a_cut_are_judged_anew(
    network: Path, glance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network, not only the glance, which does not see green."""

    def scenes(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
        return np.full((height, width, 3), (0, 0, 99) if number < 20 else (0, 150, 200), np.uint8)

    times = tuple(range(0, 1200, 40))
    clip = clips.Clip(times, Fraction(1, 1000), codec="ffv1", pixel_format="bgr0", picture=scenes)
    rainy = clip.write(tmp_path / "rainy.mkv")
    assert video(rainy, tmp_path / "clean.mkv", network, "--json") == 0
    assert untouched(rainy, list(frames(tmp_path / "clean.mkv"))) == list(range(SETTLE - 1, 20))
    assert "resets" not in told(capsys)[1]


# From Python


def test_videos_and_sequences_from_python_skip_dry_frames(rainy: Path, network: Path, glance: Path) -> None:
    dry = list(range(3 + SETTLE, 34))
    with Derainer(network, backend="onnxruntime") as derainer:
        assert untouched(rainy, [frame.pixels for frame in derainer.video(rainy)]) == dry
        assert untouched(rainy, list(derainer.sequence(frames(rainy)))) == dry
        alone = [derainer(picture) for picture in frames(rainy)]
    assert untouched(rainy, alone) == [], "single pictures are all restored"
    with Derainer(network, backend="onnxruntime", bypass="off") as derainer:
        assert untouched(rainy, list(derainer.sequence(frames(rainy)))) == []


def test_what_a_sequence_gives_is_never_what_it_was_given(network: Path, glance: Path) -> None:
    picture = film(9, 64, 48)
    with Derainer(network, backend="onnxruntime") as derainer:
        *_, last = derainer.sequence([picture] * (SETTLE + 2))
    assert np.array_equal(last, picture) and not np.may_share_memory(last, picture)


def test_both_depths_and_the_attention_of_pictures_go_with_it(network: Path, glance: Path) -> None:
    picture = film(9, 64, 48).astype(np.uint16) * 257
    with Derainer(network, backend="onnxruntime", attention=True) as derainer:
        *_, last = derainer.sequence([picture] * (SETTLE + 2))
        assert np.array_equal(last, picture)
        assert derainer.with_attention(picture)[1].shape == (48, 64)


def test_a_network_without_a_map_restores_every_frame(glance: Path, tmp_path: Path) -> None:
    half = onnx_models.conv(tmp_path, weights=0.5 * np.eye(3, dtype=np.float32)[:, :, None, None])
    picture = film(9, 64, 48)
    with Derainer(half, backend="onnxruntime") as derainer:
        *_, last = derainer.sequence([picture] * (SETTLE + 2))
    assert np.abs(last.astype(int) - picture // 2).max() <= 1


def test_another_word_for_the_bypass_is_refused(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="the bypass is 'on'; it takes auto or off"):
        Derainer(network, bypass="on")  # type: ignore[arg-type]
    assert derain(["video", "a.mp4", "b.mp4", "--bypass", "on"]) == 2
    assert "'auto', 'off'" in capsys.readouterr().err
