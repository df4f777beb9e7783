import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import onnx_models
import pytest

from derain.benchmarks import commands, machine
from derain.benchmarks.fps import Setup, measure, measure_apart, measure_pattern
from derain.benchmarks.pattern import write_pattern
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.cli import run

STAGES = ["decode", "restore", "encode", "together"]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(str(onnx_models.identity(tmp_path)), EngineOptions(cache_dir=tmp_path / "cache"), 12)


def test_every_stage_is_measured_over_the_same_frames(tmp_path: Path, setup: Setup) -> None:
    clip = tmp_path / "clip.mp4"
    write_pattern(clip, 64, 48, 20)
    measured = measure(clip, setup)
    assert [stage.name for stage in measured.stages] == STAGES
    assert {stage.frames for stage in measured.stages} == {12}
    assert all(0 < stage.p50_ms <= stage.p99_ms and stage.fps > 0 for stage in measured.stages)
    assert (measured.width, measured.height) == (64, 48)
    assert measured.model == "identity 1"
    assert len(measured.sha256) == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "clip.mp4", "identity.onnx"]


def test_each_size_has_its_own_memory_peak(setup: Setup) -> None:
    held = np.ones(200 << 20, np.uint8)
    measured = measure_pattern(64, 48, setup)
    assert 0 < measured.peak_mib < machine.peak_bytes() / 2**20 - 100
    assert measured.clip == "pattern"
    del held


def test_the_pattern_moves_and_has_detail(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_pattern(clip, 96, 64, 5)
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(frames) == 5
    assert frames[0].shape == (64, 96, 3)
    assert frames[0].std() > 20
    assert all(np.abs(a - b).mean() > 5 for a, b in pairwise(frames))


def test_the_command_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx_models.identity(tmp_path)
    clip, figures = tmp_path / "clip.mp4", tmp_path / "figures.json"
    write_pattern(clip, 64, 48, 10)
    line = ["bench", "--input", clip, "--model", model, "--frames", "5", "--json", figures]
    assert run([str(word) for word in line]) == 0
    table = capsys.readouterr().out
    assert "clip.mp4 64x48: model identity 1" in table
    assert re.findall(r"^(decode|restore|encode|together) +5 ", table, re.MULTILINE) == STAGES
    told = json.loads(figures.read_text())
    assert set(told["machine"]["versions"]) >= {"derain", "av", "numpy", "openvino", "onnxruntime"}
    assert told["machine"]["cpu"]
    assert told["measurements"][0]["stages"][3]["name"] == "together"


def test_several_sizes_make_several_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(onnx_models.identity(tmp_path))
    sizes = ["--size", "64x48", "--size", "32x32"]
    assert run(["bench", *sizes, "--model", model, "--frames", "4"]) == 0
    assert re.findall(r"^pattern (\w+)", capsys.readouterr().out, re.MULTILINE) == ["64x48", "32x32"]


@pytest.mark.parametrize(("name", "size"), [("720p", (1280, 720)), ("4k", (3840, 2160)), ("64x48", (64, 48))])
def test_sizes_have_names(name: str, size: tuple[int, int]) -> None:
    assert commands.parse_size(name) == size


@pytest.mark.parametrize("name", ["", "big", "0x10", "63x48", "64x47", "64x", "-64x48", "123456x2"])
def test_a_bad_size_names_what_it_takes(name: str) -> None:
    with pytest.raises(UsageError, match="360p, 480p, 720p, 1080p, 4K"):
        commands.parse_size(name)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--input", "missing.mp4"], "missing.mp4"),
        (["--input", "a.mp4", "--size", "720p"], "give one of the two"),
        (["--size", "64x48", "--json", "no/such/folder.json"], "no folder no/such"),
        (["--size", "64x48", "--model", "missing.onnx"], "missing.onnx"),
    ],
)
def test_what_cannot_be_measured_is_a_usage_error(
    line: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *line]) == 2
    assert words in capsys.readouterr().err


class Deadly:
    """Ends the process that unpickles it, as the system does where memory runs short."""

    name = "clip.mp4"

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_a_killed_measurement_is_told_in_a_sentence(setup: Setup) -> None:
    with pytest.raises(DerainError, match=r"measuring clip\.mp4 was killed by the system"):
        measure_apart(cast(Path, Deadly()), setup)
