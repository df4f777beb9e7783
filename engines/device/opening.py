"""Which device there is, and opening it; a package for GPUs is imported when one is looked for."""

from importlib import import_module
from typing import Any

from derain.engines.device.seam import Device
from derain.engines.errors import DerainError, UsageError

GPU = ("cuda", "pycuda")
"""In the order in which "auto" tries them: pycuda has no graphs."""
NAMES = ("host", *GPU)


def implementation(name: str) -> Any:
    return import_module(f"derain.engines.device.{name}")


def refusal(name: str) -> str:
    """Why this implementation can open no device; "" where it can."""
    try:
        return "" if implementation(name).count() else "the NVIDIA driver knows no GPU"
    except DerainError as error:
        return str(error)


def choose(names: tuple[str, ...]) -> tuple[str, str]:
    """The first that can open a device, and ""; or "" and why none can."""
    reasons = []
    for name in names:
        reason = refusal(name)
        if not reason:
            return name, ""
        reasons.append(f"{name}: {reason}")
    return "", "; ".join(reasons)


def unavailable() -> str:
    """Why "auto" can open no device; "" where it can."""
    return choose(GPU)[1]


def open_device(name: str = "auto", index: int = 0) -> Device:
    """Raises UsageError where there is no such device."""
    if name not in ("auto", *NAMES):
        raise UsageError(f"there is no device called {name!r}: take auto, {', '.join(NAMES)}")
    chosen, reason = choose(GPU if name == "auto" else (name,))
    if reason:
        raise UsageError(f"no GPU can be used here ({reason})")
    count = implementation(chosen).count()
    if not 0 <= index < count:
        raise UsageError(f"there is no device {index}: {chosen} has {count} here, the first of which is 0")
    device: Device = implementation(chosen).open_device(index)
    return device
