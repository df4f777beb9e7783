"""What this machine is made of, as far as the choice of a backend and its speed depend on it."""

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("derain", "numpy", "av", "opencv-python", "onnx", "openvino", "onnxruntime")
GPU_PACKAGES = (
    *("torch", "onnxruntime-gpu", "tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13-bindings"),
    *("cuda-bindings", "pycuda", "nvidia-cuda-nvrtc"),
)
"""Those that GPUs are used with; nobody needs them all."""

FEATURES = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    "asimddp": "NEON-DOTPROD",
    "i8mm": "I8MM",
    "bf16": "BF16",
}
"""What networks run faster with: the Linux kernel's name for it, and ours."""

INT8_FEATURES = ("AVX-VNNI", "AVX512-VNNI", "AMX-INT8")
"""Of FEATURES: with one of them INT8 is fast. OpenVINO calls all processors able, and runs it on all."""

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """`features`: those of FEATURES the processor has, None where the system does not tell.

    `memory`, `memory_free`: bytes. `gpus`: names of NVIDIA GPUs; `no_gpu`: why there are none, or "".
    """

    system: str
    cpu: str
    cores: int
    threads: int
    features: tuple[str, ...] | None
    memory: int
    memory_free: int
    gpus: tuple[str, ...]
    no_gpu: str


def look() -> Machine:
    """This machine as it is now."""
    memory = psutil.virtual_memory()
    gpus, no_gpu = nvidia_gpus()
    threads = psutil.cpu_count() or 1
    return Machine(
        system=platform.platform(),
        cpu=cpu_name(),
        cores=psutil.cpu_count(logical=False) or threads,
        threads=threads,
        features=cpu_features(),
        memory=memory.total,
        memory_free=memory.available,
        gpus=gpus,
        no_gpu=no_gpu,
    )


def usable_cores() -> int:
    """How many cores this process may use at most; those that share a core count once."""
    there = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    return min(int(there), bound)


def cpu_name() -> str:
    """The processor as its maker calls it, where the system tells; else its architecture."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_features() -> tuple[str, ...] | None:
    """Which of FEATURES the processor has; None where the system does not tell."""
    flags = (_cpuinfo("flags") or _cpuinfo("Features") or "").split()
    return tuple(ours for flag, ours in FEATURES.items() if flag in flags) if flags else None


def _cpuinfo(key: str) -> str:
    """The first value of `key` in Linux's /proc/cpuinfo, "" where there is none."""
    if not _CPUINFO.exists():
        return ""
    for line in _CPUINFO.read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def nvidia_gpus() -> tuple[tuple[str, ...], str]:
    """The names of the NVIDIA GPUs that the driver shows, and why there are none ("" where there are)."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return (), f"no NVIDIA driver ({library} is not found)"
    if error := cuda.cuInit(0):
        return (), f"the NVIDIA driver does not start (cuInit gives CUDA error {error})"
    count = ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    names = tuple(_gpu_name(cuda, index) for index in range(count.value))
    return names, "" if names else "the NVIDIA driver shows no GPU"


def _gpu_name(cuda: ctypes.CDLL, index: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    return name.value.decode(errors="replace")


def installed(package: str) -> str | None:
    """The version of an installed package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
