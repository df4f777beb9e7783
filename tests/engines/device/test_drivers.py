"""The suite of this folder through cuda.bindings and pycuda, in processes of their own.

Over a CUDA driver that is compiled from `fake_cuda.c`, and on the real one where there is a GPU.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from devices import compile_fake_driver, need_gpu

from derain.engines.device.opening import GPU

HERE = Path(__file__).parent


def suite(name: str, files: list[str], **environment: str) -> None:
    """Fails with what the suite printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    env = {**os.environ, "DERAIN_DEVICE_UNDER_TEST": name, **environment}
    env.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(command, env=env, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"exit code {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)


@pytest.mark.parametrize("name", GPU)
def test_over_a_driver_of_our_own(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"the package for {name} is not installed")
    folder = str(compile_fake_driver(tmp_path))
    files = ["test_conformance.py", "over_fake_driver.py"]
    suite(name, files, LD_LIBRARY_PATH=folder, DERAIN_FAKE_DRIVER="1")


@pytest.mark.parametrize("name", GPU)
def test_on_the_real_driver(name: str) -> None:
    need_gpu(name)
    suite(name, ["test_conformance.py"])
