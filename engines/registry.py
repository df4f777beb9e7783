"""Which backends there are, which of them this machine can run, and the way to open a model with one."""

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from derain.engines import models, precision
from derain.engines.engine import Engine, EngineOptions
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.maps import check_maps
from derain.engines.modelfile import ModelFile, open_model

log = logging.getLogger(__name__)


class NotHereError(DerainError):
    """This machine can't run the backend, whatever the model."""


@dataclass(frozen=True)
class Backend:
    """A row of the table: `module` is imported when it is first needed.

    The module has `unavailable() -> str`, the reason why it can't run here ("" where it can), and the
    class named `engine`, called with (ModelFile, EngineOptions).
    """

    name: str
    module: str
    engine: str

    def reason(self) -> str:
        """Why this machine can't run it; "" where it can."""
        unavailable: Callable[[], str] = importlib.import_module(self.module).unavailable
        return unavailable()

    def open(self, model: ModelFile, options: EngineOptions) -> Engine:
        """Compiles the model; raises UsageError for options it does not take, DerainError where it fails."""
        if reason := self.reason():
            raise NotHereError(f"the backend {self.name} can't run here: {reason}")
        engine: Callable[[ModelFile, EngineOptions], Engine]
        engine = getattr(importlib.import_module(self.module), self.engine)
        return engine(model, options)


BACKENDS: tuple[Backend, ...] = (
    Backend("tensorrt", "derain.engines.tensorrt", "TensorRTEngine"),
    Backend("tensorrt_rtx", "derain.engines.tensorrt_rtx", "TensorRTRTXEngine"),
    Backend("openvino", "derain.engines.openvino", "OpenVINOEngine"),
    Backend("onnxruntime", "derain.engines.onnxruntime", "OnnxRuntimeEngine"),
)
"""In the order in which "auto" tries them: the fastest first."""

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

    With the precision "auto" its INT8 file is taken where that is faster, see `precision.choose`.
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
            engine.precision_reason = chosen.why
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


def _tell(refusals: list[tuple[Backend, DerainError]]) -> None:
    """Why backends were not taken; that a machine has no other device is no news to whoever uses it."""
    for refused, reason in refusals:
        usual = isinstance(reason, NotHereError) and refused.name not in ON_CPU
        log.log(logging.INFO if usual else logging.WARNING, "backend %s not taken: %s", refused.name, reason)


def _candidates(name: str) -> tuple[Backend, ...]:
    if name == "auto":
        return BACKENDS
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
    reasons = "; ".join(f"{backend.name}: {error}" for backend, error in refusals)
    return kind(f"no backend opens the model {file.path}: {reasons}")
