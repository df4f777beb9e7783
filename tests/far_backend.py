"""A backend that is not on the CPU, as far as anybody can tell: ONNX Runtime with a memory of its own."""

import sys
import threading
from dataclasses import dataclass, field, replace

import pytest

from derain.engines import registry
from derain.engines.device.seam import DeviceMemoryError
from derain.engines.engine import EngineOptions, Pixels, Scores, States
from derain.engines.modelfile import ModelFile
from derain.engines.onnxruntime import OnnxRuntimeEngine

CPU = next(backend for backend in registry.BACKENDS if backend.name == "onnxruntime")
FAR = replace(CPU, name="far", module="far_backend", engine="FarEngine")


@dataclass
class Device:
    """`most`: pixels a call that there is memory for, by the number of the call, counted from 0 over all
    engines; the last one holds for all further calls. `reason`: why it can't run. `refusals`: what opening
    it raises, the last one first. `gate`: opening waits for it. `wrong`: levels that its results are too
    high by. `shapes`: of the batches so far. `opened`: the engines so far."""

    most: list[float] = field(default_factory=lambda: [float("inf")])
    reason: str = ""
    refusals: list[Exception] = field(default_factory=list)
    gate: threading.Event | None = None
    wrong: int = 0
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    opened: list["FarEngine"] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return len(self.shapes)


device = Device()
"""Tests put another one here."""


def attach(monkeypatch: pytest.MonkeyPatch) -> Device:
    """A machine with a device before its CPU, where ONNX Runtime runs, so that both give the same bits."""
    made = Device()
    monkeypatch.setattr(sys.modules[__name__], "device", made)
    monkeypatch.setattr(registry, "BACKENDS", (FAR, CPU))
    monkeypatch.setattr(registry, "ON_CPU", ("onnxruntime",))
    return made


def unavailable() -> str:
    return device.reason


class FarEngine(OnnxRuntimeEngine):
    """Computes what ONNX Runtime does on the CPU, bit by bit, and says that it is fp16."""

    backend = "far"

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        if device.gate is not None:
            device.gate.wait()
        if device.refusals:
            raise device.refusals.pop()
        super().__init__(model, replace(options, precision="auto"))
        self.precision = "fp16"
        device.opened.append(self)

    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        most = device.most[min(device.calls, len(device.most) - 1)]
        device.shapes.append(batch.shape)
        if batch.size // 3 > most:
            raise DeviceMemoryError("the device has no room for it")
        super()._run(batch, out, states, scores)
        out += out.dtype.type(device.wrong)

    @property
    def closed(self) -> bool:
        return not self._open
