"""Which backends there are, which of them this machine can run, and the way to open a model with one."""

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from derain.engines import machine, models, precision
from derain.engines.engine import Engine, EngineOptions
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.maps import check_maps
from derain.engines.modelfile import ModelFile, open_model

log = logging.getLogger(__name__)


class NotHereError(DerainError):
    """This machine can't run the backend, whatever the model; `reason` in words."""

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f"the backend {backend} can't run here: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Backend:
    """A row of the table: `module` is imported when it is first needed.

    The module has `unavailable() -> str`, the reason why it can't run here ("" where it can), and what is
    named `engine`, called with (ModelFile, EngineOptions). `packages`: names that what it runs on is
    installed by, of which there is one. `nvidia`: it needs a GPU of theirs; without one its module is not
    even imported. `by_name`: it is taken where it is asked for by name, never by "auto".
    """

    name: str
    module: str
    engine: str
    packages: tuple[str, ...] = ()
    nvidia: bool = False
    by_name: bool = False

    def reason(self) -> str:
        """Why this machine can't run it; "" where it can."""
        if self.nvidia and (no_gpu := machine.nvidia_gpus()[1]):
            return no_gpu
        unavailable: Callable[[], str] = importlib.import_module(self.module).unavailable
        return unavailable()

    def open(self, model: ModelFile, options: EngineOptions) -> Engine:
        """Compiles the model; raises UsageError for options it does not take, DerainError where it fails."""
        if reason := self.reason():
            raise NotHereError(self.name, reason)
        engine: Callable[[ModelFile, EngineOptions], Engine]
        engine = getattr(importlib.import_module(self.module), self.engine)
        return engine(model, options)


_TENSORRT = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
_RTX = ("tensorrt-rtx-cu13-bindings", "tensorrt-rtx")
_ON_CUDA, _BY_TENSORRT = "derain.engines.onnxruntime_cuda", "derain.engines.onnxruntime_tensorrt"
BACKENDS: tuple[Backend, ...] = (
    Backend("tensorrt", "derain.engines.tensorrt", "TensorRTEngine", _TENSORRT, nvidia=True),
    Backend("tensorrt_rtx", "derain.engines.tensorrt_rtx", "TensorRTRTXEngine", _RTX, nvidia=True),
    Backend("torch_cuda", "derain.engines.torch_cuda", "opened", ("torch",), nvidia=True),
    Backend("onnxruntime-cuda", _ON_CUDA, "opened", ("onnxruntime-gpu",), nvidia=True),
    Backend("openvino", "derain.engines.openvino", "OpenVINOEngine", ("openvino",)),
    Backend(
        "onnxruntime", "derain.engines.onnxruntime", "OnnxRuntimeEngine", ("onnxruntime", "onnxruntime-gpu")
    ),
    Backend("torch_inductor", "derain.engines.torch_cuda", "compiled", ("torch",), nvidia=True, by_name=True),
    Backend("onnxruntime-tensorrt", _BY_TENSORRT, "opened", ("onnxruntime-gpu",), nvidia=True, by_name=True),
)
"""In the order in which "auto" tries them: the fastest first; then those that are asked for by name."""

ON_CPU = ("openvino", "onnxruntime")
"""Those that "cpu" stands for, in the same order."""
ALIKE_ON_CPU = ("auto", "fp32", "int8")
"""Precisions that mean the same wherever a network runs."""


@dataclass(frozen=True)
class BackendStatus:
    """One backend on this machine; `reason` says why it is not usable, "" where it is."""

    name: str
    usable: bool
    reason: str


def availability() -> tuple[BackendStatus, ...]:
    """Each backend in the order of "auto", with the reason where this machine can't run it."""
    statuses = []
    for backend in BACKENDS:
        reason = backend.reason()
        statuses.append(BackendStatus(backend.name, not reason, reason))
    return tuple(statuses)


def open_engine(model: str | Path, options: EngineOptions = EngineOptions()) -> Engine:  # noqa: B008
    """Opens `model` (a shipped name, "auto" for the default, or a path to a .onnx file), ready to run.

    With the precision "auto" its INT8 file is taken where that is faster, see `precision.choose`; engines on
    GPUs may know better, and say why.
    With the backend "auto" the first that opens is taken, with "cpu" the first of those on the CPU, and the
    log tells why others were not. Where a device has no memory left, the CPU is taken whatever was asked for.
    Raises UsageError for a bad model or option, DerainError where no backend opens it.
    """
    candidates = _candidates(options.backend)
    file = open_model(models.find(model))
    check_maps(file, options)
    refusals: list[tuple[Backend, DerainError]] = []
    for backend in candidates:
        try:
            chosen = precision.choose(file, backend.name, options.precision)
            engine = backend.open(chosen.file, options)
        except DerainError as error:
            refusals.append((backend, error))
        else:
            _tell(refusals)
            engine.precision_reason = engine.precision_reason or chosen.why
            engine.backend_reason = against_faster(refusals)
            return engine
    if any(isinstance(error, MemoryShortError) and one.name not in ON_CPU for one, error in refusals):
        _tell(refusals)
        return open_on_cpu(model, options)
    tried = [refusal for refusal in refusals if not isinstance(refusal[1], NotHereError)]
    raise _refused(file, tried or refusals)


def open_on_cpu(model: str | Path, options: EngineOptions) -> Engine:
    """Opens `model` on the CPU, whatever backend `options` name."""
    return open_engine(model, on_cpu(options))


def off_cpu(options: EngineOptions) -> tuple[str, ...]:
    """The backends elsewhere than on the CPU that `options` ask for and this machine can run, in order."""
    asked = _candidates(options.backend)
    return tuple(backend.name for backend in asked if backend.name not in ON_CPU and not backend.reason())


def on_cpu(options: EngineOptions) -> EngineOptions:
    """`options` for the CPU: in their precision where it is one of ALIKE_ON_CPU, else in its own."""
    precision = options.precision if options.precision in ALIKE_ON_CPU else "auto"
    return replace(options, backend="cpu", precision=precision)


def against_faster(refusals: list[tuple[Backend, DerainError]]) -> str:
    """Why none of the backends before the one that was taken runs, in a few words.

    Without a GPU that is one reason for all that need one; what failed though it could have run is logged.
    """
    told = []
    for backend, error in refusals:
        if not isinstance(error, NotHereError):
            told.append(f"{backend.name} failed")
        elif backend.nvidia and (no_gpu := machine.nvidia_gpus()[1]):
            told.append(_short(no_gpu))
        else:
            told.append(f"{backend.name}: {_short(error.reason)}")
    return "; ".join(dict.fromkeys(told))


def _short(reason: str) -> str:
    """The reason without what stands in brackets: details, and what to install."""
    return reason.partition(" (")[0]


def version_of(name: str) -> str | None:
    """The version of what the backend runs on; None where nothing of it is installed."""
    found = (
        machine.installed(one) for backend in BACKENDS if backend.name == name for one in backend.packages
    )
    return next((version for version in found if version is not None), None)


def _tell(refusals: list[tuple[Backend, DerainError]]) -> None:
    """Why backends were not taken; that a machine has no other device is no news to whoever uses it."""
    for refused, reason in refusals:
        usual = isinstance(reason, NotHereError) and refused.name not in ON_CPU
        log.log(logging.INFO if usual else logging.WARNING, "backend %s not taken: %s", refused.name, reason)


def _candidates(name: str) -> tuple[Backend, ...]:
    if name == "auto":
        return tuple(backend for backend in BACKENDS if not backend.by_name)
    if name == "cpu":
        return tuple(backend for backend in BACKENDS if backend.name in ON_CPU)
    chosen = tuple(backend for backend in BACKENDS if backend.name == name)
    if not chosen:
        known = ", ".join(["auto", "cpu", *(backend.name for backend in BACKENDS)])
        raise UsageError(f"there is no backend {name!r}; the backends are {known}")
    return chosen


def _refused(file: ModelFile, refusals: list[tuple[Backend, DerainError]]) -> DerainError:
    if len({str(error) for _, error in refusals}) == 1:
        return refusals[0][1]
    kind = UsageError if all(isinstance(error, UsageError) for _, error in refusals) else DerainError
    names: dict[str, list[str]] = {}
    for backend, error in refusals:
        told = error.reason if isinstance(error, NotHereError) else str(error)
        names.setdefault(told, []).append(backend.name)
    reasons = "; ".join(f"{', '.join(backends)}: {told}" for told, backends in names.items())
    return kind(f"no backend opens the model {file.path}: {reasons}")
