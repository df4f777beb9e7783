"""The house: every room is packaged, imports point one way, and the run-time install needs no torch."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("pipeline", "engines", "train", "benchmarks")
MAY_IMPORT = {
    "engines": {"engines"},
    "pipeline": {"pipeline", "engines"},
    "train": {"train", "engines", "pipeline"},
    "benchmarks": set(ROOMS),
}


def test_every_folder_with_code_is_packaged() -> None:
    """A subpackage that is missing from the list vanishes from the wheel without a warning."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(("derain", *path.parent.relative_to(ROOT).parts))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
    }
    assert set(listed) == found


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in imports(path)
        if name.startswith("derain.") and name.split(".")[1] not in MAY_IMPORT[room]
    ]
    assert not wrong


@pytest.mark.parametrize("room", ["pipeline", "engines"])
def test_the_run_time_rooms_name_no_training_package(room: str) -> None:
    heavy = {"torch", "skimage", "tensorboard", "onnxscript"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] in heavy
    ]
    assert not wrong


def test_the_program_starts_without_torch() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from derain.pipeline.cli import run\n"
        "sys.exit(run(['video', '--help']) or run(['models']) or run(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "derain video" in done.stdout


def test_without_a_card_nothing_made_for_cards_is_imported() -> None:
    """By the help, by the doctor, and by opening a network: they take from a tenth of a second to seconds."""
    script = (
        "import sys\n"
        "from derain.engines import machine, models\n"
        "machine.nvidia_gpus = lambda: ((), 'no NVIDIA driver')\n"
        "from derain.engines.registry import open_engine\n"
        "from derain.pipeline.cli import run\n"
        "assert run(['--help']) == run(['doctor']) == 0\n"
        "open_engine(models.in_order()[-1]).close()\n"
        "for name in ('torch', 'tensorrt', 'tensorrt_rtx', 'tensorrt_rtx_bindings', 'cuda', 'pycuda'):\n"
        "    assert name not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_command_that_needs_an_extra_says_which() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from derain.pipeline.cli import run\n"
        "sys.exit(run(['train', 'realtime-s']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith('pip install "derain[train]"')
    assert "Traceback" not in done.stderr


def test_a_file_is_short_enough_to_read() -> None:
    long = [
        str(path.relative_to(ROOT))
        for folder in (*ROOMS, "tests")
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 400
    ]
    assert not long
