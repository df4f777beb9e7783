"""What `derain bench gpu` measures, and the small version of it that any processor goes through."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from derain.engines import models, registry

Row: TypeAlias = dict[str, Any]
"""One line of a section's table: text, numbers, truths or None under the names of its columns."""

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
"""Width and height."""


@dataclass(frozen=True)
class Plan:
    """`models`: shipped names or paths. `backends`: names, the first runs what is measured once only.

    `sizes`: (width, height) by name. `spell`: seconds that one figure is measured for. `frames`: of clips.
    `streams`: how many at a time are tried, of `stream_size`, for `stream_seconds`. `copied`: bytes of a
    copy. `eigen`: sizes of photos; `eigen_width`: how wide his network is, 1 as in the paper. `peers`: the
    folder of published weights. `tests`: that of this project's tests, which `suites` are in. `device`: what
    `open_device` takes; `torch`: what torch does.
    """

    models: tuple[str, ...]
    backends: tuple[str, ...]
    precisions: tuple[str, ...] = ("fp16", "fp32")
    sizes: tuple[tuple[str, tuple[int, int]], ...] = tuple(SIZES.items())
    batches: tuple[int, ...] = (1, 4, 8)
    spell: float = 0.4
    frames: int = 240
    streams: tuple[int, ...] = (1, 4, 8, 16, 24, 32)
    stream_size: tuple[int, int] = SIZES["1080p"]
    stream_seconds: float = 3.0
    copied: int = 1 << 28
    eigen: tuple[tuple[int, int], ...] = ((3888, 2592), (1280, 720))
    eigen_width: float = 1.0
    peers: Path | None = None
    peer_size: tuple[int, int] = SIZES["720p"]
    tests: Path | None = None
    suites: tuple[str, ...] = (
        "engines/device",
        "engines/test_conformance.py",
        "engines/test_torch_cuda.py",
        "engines/test_onnxruntime_cuda.py",
    )
    device: str = "auto"
    torch: str = "cuda"

    @property
    def rehearsal(self) -> bool:
        """Whether nothing of it is on a card."""
        return self.torch == "cpu"


def on_a_card() -> tuple[str, ...]:
    """The backends for NVIDIA's cards that this machine can run, the one that "auto" takes first."""
    theirs = [backend.name for backend in registry.BACKENDS if backend.nvidia and not backend.by_name]
    return tuple(status.name for status in registry.availability() if status.usable and status.name in theirs)


def everything(named: tuple[str, ...], backends: tuple[str, ...]) -> Plan:
    """All of it, for a card; `named` models, or all that are shipped."""
    return Plan(named or tuple(path.stem for path in models.in_order()), backends)


def rehearsed(plan: Plan) -> Plan:
    """The same on the CPU, so small that it takes seconds: it shows that nothing fails on the day."""
    return replace(
        plan,
        models=plan.models[:1],
        backends=("cpu",),
        precisions=("fp32",),
        sizes=(("tiny", (64, 48)), ("1080p", (96, 64))),
        batches=(1, 2),
        spell=0.02,
        frames=4,
        streams=(1, 2),
        stream_size=(64, 48),
        stream_seconds=0.3,
        copied=1 << 16,
        eigen=((64, 48),),
        eigen_width=0.02,
        peer_size=(64, 48),
        suites=("engines/device/test_opening.py",),
        device="host",
        torch="cpu",
    )
