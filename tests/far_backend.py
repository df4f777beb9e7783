"""A backend that is not on the CPU, as far as anybody can tell: ONNX Runtime with a memory of its own."""

import threading
from dataclasses import dataclass, field, replace

from derain.engines.device.seam import DeviceMemoryError
from derain.engines.engine import EngineOptions, Pixels, Scores, States
from derain.engines.modelfile import ModelFile
from derain.engines.onnxruntime import OnnxRuntimeEngine
from derain.engines.registry import Backend

FAR = Backend("far", "far_backend", "FarEngine")


@dataclass
class Device:
    """`most`: pixels a call that there is memory for, by the number of the call, counted from 0 over all
    engines; the last one holds for all further calls. `reason`: why it can't run. `refusal`: what opening
    it raises. `gate`: opening waits for it. `opened`: the engines so far."""

    most: list[float] = field(default_factory=lambda: [float("inf")])
    reason: str = ""
    refusal: Exception | None = None
    gate: threading.Event | None = None
    calls: int = 0
    opened: list["FarEngine"] = field(default_factory=list)


device = Device()
"""Tests put another one here."""


def unavailable() -> str:
    return device.reason


class FarEngine(OnnxRuntimeEngine):
    """Computes what ONNX Runtime does on the CPU, bit by bit, and says that it is fp16."""

    backend = "far"

    def __init__(self, model: ModelFile, options: EngineOptions) -> None:
        if device.gate is not None:
            device.gate.wait()
        if device.refusal is not None:
            raise device.refusal
        super().__init__(model, replace(options, precision="auto"))
        self.precision = "fp16"
        device.opened.append(self)

    def _run(self, batch: Pixels, out: Pixels, states: States, scores: Scores | None) -> None:
        most = device.most[min(device.calls, len(device.most) - 1)]
        device.calls += 1
        if batch.size // 3 > most:
            raise DeviceMemoryError("the device has no room for it")
        super()._run(batch, out, states, scores)

    @property
    def closed(self) -> bool:
        return not self._open
