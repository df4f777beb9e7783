"""What a measurement was made with: the machine, the versions, the memory it took."""

import os
import platform
from pathlib import Path
from typing import Any

import av
import psutil

from derain.engines.machine import PACKAGES, cpu_name, installed


def machine() -> dict[str, Any]:
    """Facts that change figures; `load` is that of the last minute, and should be near zero."""
    return {
        "cpu": cpu_name(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load": psutil.getloadavg()[0],
        "os": platform.platform(),
        "python": platform.python_version(),
        "ffmpeg": av.ffmpeg_version_info,
        "versions": {name: installed(name) for name in PACKAGES},
    }


def peak_bytes() -> int:
    """The most memory this process has held at once.

    On Linux not ru_maxrss, which a new process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if os.name == "nt":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415 - not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024
