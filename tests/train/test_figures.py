"""Figures of a card come from files that the measuring commands wrote."""

import json
from pathlib import Path

import pytest

from derain.engines.errors import UsageError
from derain.train.figures import quality, speed


def test_quality_tells_the_gain_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    rows = [
        {"set": "pairs/rain100L", "match": "", "rainy": {"psnr_y": 26.9}, "restored": {"psnr_y": 29.456}},
        {"set": "own/clean", "match": "day", "rainy": {"psnr_y": None}, "restored": {"psnr_y": 40.0}},
        {"set": "own/same", "match": "", "rainy": {"psnr_y": None}, "restored": {"psnr_y": None}},
    ]
    path.write_text(json.dumps(rows))
    assert quality(path) == {
        "rain100L": "29.46 dB (+2.56)",
        "clean day": "40.00 dB",
        "same": "equal to the clean pictures",
    }


def test_speed_tells_size_rate_and_processor(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    row = {"width": 1280, "height": 720, "backend": "openvino", "precision": "fp32"}
    row["stages"] = [{"name": "restore", "p50_ms": 67.52}, {"name": "together", "fps": 12.34}]
    path.write_text(json.dumps({"machine": {"cpu": "X", "threads": 2}, "measurements": [row]}))
    assert speed(path) == {
        "1280x720": "67.5 ms a frame, 12.3 fps file to file, openvino fp32 on X, 2 threads"
    }


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.json has no figures"):
        quality(tmp_path / "no.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UsageError, match=r"other\.json is not what derain bench --json writes"):
        speed(tmp_path / "other.json")
