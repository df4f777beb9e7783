"""A picture of 108 megapixels needs less than 2 GB, reading and writing included."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx_models
import pytest

RUN = """
import sys
from pathlib import Path
from derain.pipeline.cli import run

assert run(["image", *sys.argv[1:], "--no-progress"]) == 0
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_picture_of_12000_by_9000_needs_less_than_2_gb(tmp_path: Path) -> None:
    model = onnx_models.unshuffle(tmp_path, factor=4, channels=4, layers=1)
    columns = np.arange(12000, dtype=np.uint32).astype(np.uint8)
    picture = np.broadcast_to(columns[np.newaxis, :, np.newaxis], (9000, 12000, 3))
    cv2.imwrite(str(tmp_path / "rainy.jpg"), np.ascontiguousarray(picture))
    arguments = [tmp_path / "rainy.jpg", tmp_path / "clean.jpg", "--model", model]
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 2_000_000_000
    assert (tmp_path / "clean.jpg").exists()
