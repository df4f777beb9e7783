"""`--model auto` where a network has a recurrent twin: for frames that follow one another only."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import clips
import onnx_models
import pytest

from derain.engines.engine import EngineOptions, Pixels
from derain.pipeline import Derainer, choosing, speeds
from derain.pipeline.choosing import Chosen, Pace, open_chosen
from derain.pipeline.cli import run
from derain.pipeline.restore import Restorer

HD = Pace(1280, 720, Fraction(25))
"""Leaves 13.0 ms on two cores."""
SECONDS = {"realtime-s": 1e-9, "realtime-s-video": 1.2e-9, "realtime-m": 4e-9, "realtime-l": 16e-9}
"""What a pixel takes."""


@pytest.fixture(autouse=True)
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores, on which networks take SECONDS."""

    def measure(restorer: Restorer, frame: Pixels, enough: float) -> float:
        return SECONDS[restorer.engine.card.name] * (frame.size // 3)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(choosing, "usable_cores", lambda: 2)
    monkeypatch.setattr(speeds, "measure", measure)


@pytest.fixture
def family(shelf: Path) -> Path:
    """Three networks, the smallest of which has a twin."""
    for seed, name in enumerate(("realtime-s", "realtime-m", "realtime-l")):
        onnx_models.conv(shelf, name, seed=seed)
    onnx_models.recurrent(shelf, "realtime-s-video")
    return shelf


def chosen(pace: Pace | None) -> Chosen:
    found = open_chosen("auto", EngineOptions("onnxruntime"), pace)
    found.engine.close()
    return found


@pytest.mark.parametrize(
    ("rate", "of_a_source", "alone"),
    [
        (20, "realtime-l", "realtime-l"),
        (25, "realtime-m", "realtime-m"),
        (35, "realtime-s-video", "realtime-s"),
        (37.33, "realtime-s", "realtime-s"),
        (60, "realtime-s", "realtime-s"),
    ],
)
def test_a_recurrent_twin_is_one_more_choice_for_frames_of_one_source(
    family: Path, rate: float, of_a_source: str, alone: str
) -> None:
    pace = Pace(1280, 720, Fraction(rate))
    assert chosen(replace(pace, sequence=True)).path.stem == of_a_source
    assert chosen(pace).path.stem == alone


def test_what_has_no_rate_or_stands_alone_has_no_use_for_a_twin(family: Path) -> None:
    for pace in (None, Pace(64, 48, None), Pace(64, 48, None, sequence=True), Pace(64, 48, Fraction(10))):
        assert not chosen(pace).engine.states
    with Derainer(backend="onnxruntime", rate=35, size=(1280, 720)) as derainer:
        assert derainer.card.name == "realtime-s"


def test_a_twin_alone_is_for_videos_only(shelf: Path) -> None:
    onnx_models.recurrent(shelf, "realtime-s-video")
    onnx_models.conv(shelf, "realtime-m")
    pace = replace(HD, rate=Fraction(35))
    assert chosen(replace(pace, sequence=True)).path.stem == "realtime-s-video"
    assert chosen(pace).path.stem == "realtime-m" == chosen(None).path.stem


def test_a_video_is_given_the_twin_that_keeps_its_rate(
    family: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("realtime-m", "realtime-l"):
        monkeypatch.setitem(SECONDS, name, 1.0)
    clip = str(clips.Clip(times=range(4)).write(tmp_path / "rain.mp4"))
    line = ["video", clip, str(tmp_path / "dry.mp4"), "--backend", "onnxruntime", "--json"]
    assert run(line) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert start["model"] == "realtime-s-video"
    assert start["model_reason"].startswith("keeps 25 fps with 0.0 of 35.9 ms a frame; realtime-m takes")
