"""TensorRT and TensorRT-RTX as one thing: what a program calls in both, and what differs, as a table.

Nothing here needs a GPU. What is used of the packages is in tests/trt_surface.json, the names that the
published bindings of TensorRT 10.13 to 11.1 have, and in the installed tensorrt_rtx: tests hold it to both.
"""

import functools
import importlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from derain.engines.base import one_line
from derain.engines.errors import DerainError


@dataclass(frozen=True)
class Quirks:
    """What differs. `typed_flag`: networks are strongly typed only when asked, else always.

    `capabilities`: compute capabilities that it builds for without such a card, () where it builds for the
    card at hand. `timing_cache`: what kernels were measured with is kept from build to build.
    `runtime_cache`, `graph_strategy`: IRuntimeConfig has create_runtime_cache, cuda_graph_strategy.
    """

    typed_flag: bool
    capabilities: tuple[str, ...]
    timing_cache: bool
    runtime_cache: bool
    graph_strategy: bool


Progress = Callable[[str, float], bool]
"""Called with what is being done and how much of all is, 0..1, from any thread; False calls it off."""


class Package(NamedTuple):
    """`least`: the version from which on it is taken. `extra`: of derain, that installs it. `modules`: what
    it can be imported as; the vendor's package tensorrt_rtx only hands on what its bindings have."""

    least: tuple[int, int]
    extra: str
    modules: tuple[str, ...]


PACKAGES = {
    "tensorrt": Package((10, 13), "tensorrt", ("tensorrt",)),
    "tensorrt_rtx": Package((1, 4), "tensorrt-rtx", ("tensorrt_rtx", "tensorrt_rtx_bindings")),
}

RTX_CAPABILITIES = ("75", "80", "86", "89", "120", "121")
"""Turing to Blackwell; of 90 (Hopper) and 100 TensorRT-RTX knows nothing."""

_TENSORRT_10 = Quirks(True, (), timing_cache=True, runtime_cache=False, graph_strategy=False)
_TENSORRT_11 = Quirks(False, (), timing_cache=True, runtime_cache=False, graph_strategy=False)
_RTX = Quirks(False, RTX_CAPABILITIES, timing_cache=False, runtime_cache=True, graph_strategy=True)


@dataclass(frozen=True)
class Runtime:
    """`module`: the package `name`, imported."""

    name: str
    module: Any
    version: tuple[int, ...]
    quirks: Quirks

    @property
    def told(self) -> str:
        """As a user knows it."""
        return f"{self.name} {'.'.join(map(str, self.version))}"

    def messages(self) -> Any:
        """A new logger that keeps what it is told, see `messages_of`."""
        return messages_of(self.module)()

    def monitor(self, progress: Progress) -> Any:
        """A new IProgressMonitor that tells `progress`, see `monitor_of`."""
        return monitor_of(self.module)(progress)


def load(name: str) -> Runtime:
    """The package `name` of PACKAGES, imported; raises DerainError where it can't be."""
    if reason := unavailable(name):
        raise DerainError(f"{name} can't be used: {reason}")
    return wrap(name, _module(name))


def wrap(name: str, module: Any) -> Runtime:
    """A module that is imported already, with what its version does differently."""
    version = _numbers(str(module.__version__))
    if name == "tensorrt_rtx":
        return Runtime(name, module, version, _RTX)
    return Runtime(name, module, version, _TENSORRT_10 if version < (11,) else _TENSORRT_11)


def unavailable(name: str) -> str:
    """Why the package can't be used here, "" where it can; whether there is a GPU is another question."""
    package = PACKAGES[name]
    install = f'pip install "derain[{package.extra}]"'
    try:
        module = _module(name)
    except ModuleNotFoundError:
        return f"the package {name} is not installed ({install})"
    except (ImportError, OSError) as error:
        return f"the package {name} can't be loaded: {one_line(error)}"
    if _numbers(str(module.__version__)) < package.least:
        least = ".".join(map(str, package.least))
        return f"the package {name} is {module.__version__}; derain takes {least} and later ({install})"
    return ""


def _module(name: str) -> Any:
    first, *others = PACKAGES[name].modules
    try:
        return importlib.import_module(first)
    except ModuleNotFoundError:
        for other in others:
            return importlib.import_module(other)
        raise


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers: (10, 13, 3, 9) of "10.13.3.9.post1"."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


@functools.cache
def messages_of(module: Any) -> Any:
    """The class of loggers for `module`; `errors` and `warnings` are what they were told, in order.

    Builders log from several threads at a time. (An IErrorRecorder would do the same, but one written in
    Python crashed the process from the second Builder on.)
    """
    severity = module.ILogger.Severity

    class Messages(module.ILogger):  # type: ignore[misc]  # a class of whichever package it is
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: list[str] = []
            self.warnings: list[str] = []

        def log(self, level: Any, text: str) -> None:
            if level in (severity.INTERNAL_ERROR, severity.ERROR):
                self.errors.append(text)
            elif level == severity.WARNING:
                self.warnings.append(text)

        def why(self) -> str:
            """The first error in one line: those after it follow from it."""
            told = [text for text in self.errors if text.strip()]
            return one_line(Exception(told[0])) if told else "it did not say why"

    return Messages


@functools.cache
def monitor_of(module: Any) -> Any:
    """The class of progress monitors for `module`. No error may leave them, for C++ calls them:
    `failure` is what `progress` raised, and calls the build off."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]  # a class of whichever package it is
        def __init__(self, progress: Progress) -> None:
            module.IProgressMonitor.__init__(self)
            self.progress = progress
            self.failure: BaseException | None = None
            self.called_off = False
            self.phases: dict[str, Phase] = {}
            self.lock = threading.Lock()

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            with self.lock:
                over = self.phases.get(parent or "", Phase(0.0, 1.0, 1))
                self.phases[name] = Phase(over.now, over.step, max(1, steps))

        def step_complete(self, name: str, step: int) -> bool:
            with self.lock:
                phase = self.phases[name]
                phase.done = step + 1
                return not self.called_off and self._tell(name, phase.now)

        def phase_finish(self, name: str) -> None:
            with self.lock:
                self.phases.pop(name, None)

        def _tell(self, name: str, share: float) -> bool:
            try:
                going_on = self.progress(name, min(1.0, share))
            except BaseException as error:  # noqa: BLE001 - raised again once the builder has returned
                self.failure, going_on = error, False
            self.called_off = not going_on
            return going_on

    return Monitor


@dataclass
class Phase:
    """A phase of a build: `share` of all is what it takes, from `start` on, in so many `steps`."""

    start: float
    share: float
    steps: int
    done: int = 0

    @property
    def step(self) -> float:
        """What each of its steps is of all."""
        return self.share / self.steps

    @property
    def now(self) -> float:
        """How much of all is done."""
        return self.start + self.done * self.step
