"""`derain bench live`: latency, drops and the slope of the memory."""

import json
from pathlib import Path
from typing import Any

import onnx_models
import pytest

from derain.benchmarks.live import slope
from derain.pipeline.cli import run


def test_it_measures_cameras_and_writes_what_it_found(tmp_path: Path, capsys: Any) -> None:
    model, file = onnx_models.conv(tmp_path), tmp_path / "live.json"
    options = [
        "--cameras",
        "2",
        "--size",
        "64x48",
        "--rate",
        "20",
        "--seconds",
        "2500ms",
        "--json",
        str(file),
    ]
    line = ["bench", "live", *options, "--model", str(model), "--backend", "onnxruntime", "--threads", "1"]
    assert run(line) == 0
    found = json.loads(file.read_text())["measurement"]
    assert found["model"] == "conv" and found["memory_mib"] > 10 and found["cores"] > 0
    assert [camera["camera"] for camera in found["cameras"]] == ["pattern", "pattern-2"]
    for camera in found["cameras"]:
        assert 0 < camera["p50_ms"] <= camera["p95_ms"] <= camera["p99_ms"]
        assert camera["decoded"] > 10 and camera["frames"] > 5
    assert "pattern-2" in capsys.readouterr().out


def test_the_slope_is_of_what_comes_after_the_beginning() -> None:
    grows = [(float(second), (100 << 20) + second * 1024) for second in range(600)]
    began = [(second, size // 2 if second < 100 else size) for second, size in grows]
    assert slope(began) == pytest.approx(3600 / 1024, rel=1e-3)
    assert slope([(float(second), 1 << 20) for second in range(60)]) == pytest.approx(0, abs=1e-6)
    assert slope([]) is None and slope([(1.0, 5)]) is None


def test_a_folder_that_is_not_there_is_told_first(capsys: Any) -> None:
    assert run(["bench", "live", "--json", "/nowhere/at/all.json"]) == 2
    assert "there is no folder /nowhere/at" in capsys.readouterr().err
