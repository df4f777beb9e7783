"""NVRTC, NVIDIA's compiler for kernels: found where its wheel or the CUDA toolkit put it, called by ctypes.

It needs neither a card nor a driver. The wheel is `nvidia-cuda-nvrtc`.
"""

import ctypes
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from derain.engines.errors import DerainError

HOW_TO_GET_IT = "pip install derain[cuda]"
PATTERNS = ("*/lib/libnvrtc.so.*[0-9]", "*/bin/**/nvrtc64_*_0.dll")
"""Where wheels put it, below their common folder."""
NAMES = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll")
"""By which the system finds it."""


def candidates() -> Iterator[str]:
    """What to try, in order: wheels first, which are as new as the packages they came with."""
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    for folder in folders:
        for pattern in PATTERNS:
            yield from (str(path) for path in sorted(folder.glob(pattern), reverse=True))
    yield from NAMES


@cache
def library() -> ctypes.CDLL | None:
    """NVRTC, None where there is none."""
    for name in candidates():
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def unavailable() -> str:
    """Why nothing can be compiled here; "" where it can."""
    return "" if library() is not None else f"the library NVRTC is not installed ({HOW_TO_GET_IT})"


def compiled(source: str, capability: tuple[int, int], defines: dict[str, int]) -> bytes:
    """The machine code of `source` for cards of a capability. Raises DerainError with NVRTC's words."""
    nvrtc = library()
    if nvrtc is None:
        raise DerainError(f"kernels can't be compiled: {unavailable()}")
    program = ctypes.c_void_p()
    _check(
        nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"derain.cu", 0, None, None), nvrtc
    )
    try:
        options = [f"--gpu-architecture=sm_{capability[0]}{capability[1]}".encode()]
        options += [f"-D{name}={value}".encode() for name, value in defines.items()]
        given = (ctypes.c_char_p * len(options))(*options)
        result = nvrtc.nvrtcCompileProgram(program, len(options), given)
        if result:
            log = _text(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            _check(result, nvrtc, log)
        return _text(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(nvrtc: Any, program: ctypes.c_void_p, what: str) -> bytes:
    """What NVRTC gives of a program: its "ProgramLog", or its "CUBIN"."""
    size = ctypes.c_size_t()
    _check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)), nvrtc)
    room = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{what}")(program, room), nvrtc)
    return room.raw


def _check(result: int, nvrtc: Any, log: str = "") -> None:
    if result:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        words = nvrtc.nvrtcGetErrorString(result).decode()
        raise DerainError(f"NVRTC can't compile the kernels: {words}. {log}".strip()[:600])
