"""What tests need of devices: a GPU where there is one, and a CUDA driver of our own where it can be had."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from derain.engines.device.opening import open_device, refusal
from derain.engines.device.seam import Device

SOURCE = Path(__file__).parent / "engines" / "device" / "fake_cuda.c"
UNDER_TEST = os.environ.get("DERAIN_DEVICE_UNDER_TEST", "host")
FAKE = os.environ.get("DERAIN_FAKE_DRIVER")
"""Set where this process runs over the fake driver."""


def need_gpu(name: str = "cuda") -> None:
    """Skips the test where there is no GPU to be had so, fails where DERAIN_EXPECT_GPU promises one.

    It promises pycuda only where the package is installed.
    """
    reason = refusal(name)
    if not reason:
        return
    promised = name != "pycuda" or importlib.util.find_spec("pycuda") is not None
    if os.environ.get("DERAIN_EXPECT_GPU") and promised:
        pytest.fail(f"DERAIN_EXPECT_GPU is set, but {name} says: {reason}")
    pytest.skip(f"no GPU through {name}: {reason}")


def compile_fake_driver(folder: Path) -> Path:
    """A folder with our own libcuda.so.1; skips the test where it can't be had."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the fake CUDA driver needs Linux and a C compiler")
    name = "libcuda.so.1"
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{name}"]
    subprocess.run([compiler, *options, "-o", folder / name, SOURCE], check=True)
    return folder


class FakeDriver:
    """The fake driver that this process runs over."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        for text in (self._library.fake_misuse, self._library.fake_called):
            text.restype = ctypes.c_char_p

    def reset(self) -> None:
        """Forgets all there is, and what was to fail."""
        self._library.fake_reset()

    def fail(self, name: str, code: int) -> None:
        """From now on the function gives this error code."""
        self._library.fake_fail(name.encode(), code)

    def called(self) -> list[str]:
        """The functions called since the last reset, each once."""
        names = (self._library.fake_called(index) for index in range(64))
        return [name.decode() for name in names if name]

    def alive(self) -> int:
        """How many things were made and not released."""
        return int(self._library.fake_alive())

    def complaint(self) -> str:
        """The first thing done that a driver forbids, or a context that a call left behind."""
        left = "a context was left current" if self._library.fake_depth() else ""
        return str(self._library.fake_misuse().decode()) or left


@contextmanager
def opened(name: str) -> Iterator[Device]:
    """A device, after which nothing is left over in the fake driver."""
    fake = FakeDriver() if FAKE else None
    if fake:
        fake.reset()
    with open_device(name) as device:
        yield device
    if fake:
        assert not fake.complaint()
        assert fake.alive() == 0
