"""Finds out what this machine will run, and why each faster way is not taken."""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.codec
import cv2

from derain.engines import cache, models, openvino, precision, registry
from derain.engines.machine import GPU_PACKAGES, PACKAGES, Machine, installed, look
from derain.engines.registry import BackendStatus

CODECS = {"H.264": "h264", "H.265": "hevc", "VP9": "vp9", "AV1": "av1"}


@dataclass(frozen=True)
class FasterWay:
    """A way to run networks faster, and what stands in its way on this machine; nothing where it is taken."""

    name: str
    not_taken: tuple[str, ...]


@dataclass(frozen=True)
class Encoders:
    """Encoders of one codec in the FFmpeg that came with PyAV; `hardware` ones need their device as well."""

    codec: str
    software: tuple[str, ...]
    hardware: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All findings. `backend`: what "auto" will run, "" where nothing can. `cache_bytes`: what lies there.

    `networks`: the shipped ones, those first that the model "auto" chooses among (`choices`), the best first.
    """

    machine: Machine
    python: str
    versions: dict[str, str | None]
    ffmpeg: dict[str, str]
    networks: tuple[str, ...]
    choices: int
    backend: str
    backends: tuple[BackendStatus, ...]
    faster: tuple[FasterWay, ...]
    encoders: tuple[Encoders, ...]
    window: str
    cache: Path
    cache_bytes: int


def examine(cache_dir: Path | None = None) -> Report:
    """Looks at everything; starts no work and changes nothing."""
    machine = look()
    backends = registry.availability()
    place = cache.folder(cache_dir)
    return Report(
        machine=machine,
        python=f"{platform.python_version()} ({sys.executable})",
        versions=versions(),
        ffmpeg={name: ".".join(map(str, numbers)) for name, numbers in av.library_versions.items()},
        networks=tuple(path.stem for path in models.in_order()),
        choices=len(models.ranked(sequence=True)),
        backend=next((status.name for status in backends if status.usable), ""),
        backends=backends,
        faster=faster_ways(machine, backends),
        encoders=tuple(encoders(name, codec) for name, codec in CODECS.items()),
        window=window(),
        cache=place,
        cache_bytes=cache.size(place),
    )


def versions() -> dict[str, str | None]:
    """Of PACKAGES, and of GPU_PACKAGES those that are installed."""
    gpu = {package: installed(package) for package in GPU_PACKAGES}
    found = {package: version for package, version in gpu.items() if version is not None}
    return {package: installed(package) for package in PACKAGES} | found


def faster_ways(machine: Machine, backends: Sequence[BackendStatus]) -> tuple[FasterWay, ...]:
    """Each faster way with every reason against it that is true here."""
    return (
        FasterWay("An NVIDIA GPU", _against_nvidia(machine, backends)),
        FasterWay("OpenVINO on an Intel GPU", _against_intel_gpu()),
        FasterWay("INT8 on the CPU", _against_int8()),
        FasterWay("bf16 on the CPU", (_against_bf16(),)),
    )


def _against_nvidia(machine: Machine, backends: Sequence[BackendStatus]) -> tuple[str, ...]:
    """Nothing where one of its backends works; their reasons are in the list of backends."""
    if machine.no_gpu:
        return (machine.no_gpu,)
    theirs = [backend.name for backend in registry.BACKENDS if backend.nvidia and not backend.by_name]
    works = any(status.usable for status in backends if status.name in theirs)
    return () if works else (f"none of {', '.join(theirs)} works, see above",)


def _against_intel_gpu() -> tuple[str, ...]:
    reasons = ["this version of derain runs OpenVINO on the CPU only"]
    if unavailable := openvino.unavailable():
        return (unavailable, *reasons)
    devices = openvino.core().available_devices
    if not any(device.startswith("GPU") for device in devices):
        reasons.insert(0, f"OpenVINO sees no GPU (it sees {', '.join(devices)})")
    return tuple(reasons)


def _against_int8() -> tuple[str, ...]:
    """Nothing where the shipped networks run in INT8."""
    if unavailable := openvino.unavailable():
        return (unavailable,)
    reasons = []
    if not any(models.int8_of(path).exists() for path in models.shipped()):
        reasons.append("this version of derain ships no INT8 network (derain quantise makes one)")
    if not precision.able():
        reasons.append("the processor has no VNNI, or the system does not tell")
    return tuple(reasons)


def _against_bf16() -> str:
    if unavailable := openvino.unavailable():
        return unavailable
    if "bf16" not in openvino.precisions(openvino.core()):
        return "the processor has no bf16 instructions"
    return "results differ from those of fp32 by a level here and there; ask for it with --precision bf16"


def encoders(name: str, codec: str) -> Encoders:
    """The encoders of `codec` (FFmpeg's name for it), in the order of their names."""
    software: list[str] = []
    hardware: list[str] = []
    for candidate in sorted(av.codec.codecs_available):
        try:
            found = av.Codec(candidate, "w")
        except av.codec.codec.UnknownCodecError:  # it only decodes
            continue
        if found.canonical_name == codec and found.name == candidate:
            (hardware if _needs_hardware(found) else software).append(candidate)
    return Encoders(name, tuple(software), tuple(hardware))


def _needs_hardware(codec: av.Codec) -> bool:
    capability = av.codec.Capabilities.hardware | av.codec.Capabilities.hybrid
    return bool(codec.capabilities & capability) or codec.name.endswith("_v4l2m2m")


def window() -> str:
    """What OpenCV can show windows with, "" where it can't."""
    framework = cv2.currentUIFramework()
    if framework and sys.platform == "linux" and not _display():
        return ""
    return str(framework)


def _display() -> str:
    return os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY", "")
