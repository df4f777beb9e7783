"""What makes, checks and measures data runs from the run-time install: without torch and its company."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from derain.benchmarks.commands import SUBJECTS
from derain.pipeline.cli import COMMANDS
from derain.train.commands import datasets

LIGHT = [
    *([name] for name, _, extra, _ in COMMANDS if not extra),
    *(["bench", name] for name, _, extra, _ in SUBJECTS if not extra),
    *(["datasets", name] for name, _, extra, _ in datasets.SUBJECTS if not extra),
]
"""Every command that says it needs no extra."""

WITHOUT = """
import sys
for name in ("torch", "skimage", "tensorboard", "onnxscript", "scipy"):
    sys.modules[name] = None
from derain.pipeline.cli import run
"""


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + script], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "words",
    [
        ["synthesize"],
        ["background"],
        ["datasets"],
        ["datasets", "check"],
        ["dirt"],
        ["benchmark-set"],
        ["evaluate"],
        ["bench", "usefulness"],
        ["bench", "degradations"],
        ["bench", "background"],
    ],
)
def test_data_is_made_and_measured_without_an_extra(words: list[str]) -> None:
    assert words in LIGHT


def test_commands_without_an_extra_start_without_torch() -> None:
    done = python(f"for words in {LIGHT!r}:\n    assert run([*words, '--help']) == 0, words")
    assert done.returncode == 0, done.stderr
    for words in LIGHT:
        assert f"Usage: derain {' '.join(words)}" in done.stdout


def test_rain_is_made_without_torch(tmp_path: Path) -> None:
    """Not only the help: what a command imports when it works is no training package either."""
    photo = tmp_path / "photo.png"
    ramp = np.broadcast_to(np.linspace(40, 200, 96, dtype=np.uint8)[None, :, None], (80, 96, 3))
    assert cv2.imwrite(str(photo), ramp)
    rains = ("joint", "night", "dirt", "snow")
    done = python(
        f"for rain in {rains}:\n"
        f"    assert run(['synthesize', {str(photo)!r}, {str(tmp_path)!r} + '/' + rain, '--rain', rain]) == 0"
    )
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / rain / "rainy" / "photo.png").stat().st_size for rain in rains)
