"""A backend of the CPU dressed as a slow builder: its plan is an ONNX file, which ONNX Runtime runs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from derain.engines.engine import Engine, EngineOptions
from derain.engines.modelfile import open_model
from derain.engines.onnxruntime import OnnxRuntimeEngine
from derain.engines.parity import Figures, Parity
from derain.engines.plans.key import PlanKey, Target
from derain.engines.plans.obtain import obtain
from derain.engines.plans.store import Store, StoredPlan

TARGET = Target("NVIDIA Slow 1", ("89",), "13.1", "linux x86_64")
KEY = PlanKey(
    network="rain",
    backend="slow",
    precision="fp16",
    options=(("dtype", "uint8"),),
    shapes=("1x32x48",),
    onnx="5" * 64,
    version="1.7",
    target=TARGET,
)


PARITY = Parity("onnxruntime fp32", 45.0, (32, 48), (Figures("flat", None, 0.0), Figures("rain", 51.5, 1.0)))
"""That passed."""


@dataclass(frozen=True)
class SlowPlan:
    data: bytes
    seconds: float
    details: Mapping[str, Any] = field(default_factory=lambda: {"layers": 3})


class SlowBuilder:
    """Takes its time, and counts how often it was asked. `data`: of its plan."""

    def __init__(self, data: bytes = b"plan" * 100, seconds: float = 0.0) -> None:
        self.data = data
        self.seconds = seconds
        self.builds = 0

    def __call__(self) -> SlowPlan:
        time.sleep(self.seconds)
        self.builds += 1
        return SlowPlan(self.data, self.seconds)


class Cache:
    """A cache in a folder, and all that was told."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.builder = SlowBuilder()
        self.told: list[str] = []

    def obtain(self, key: PlanKey = KEY, **more: Any) -> StoredPlan:
        return obtain(key, self.builder, cache_dir=self.place, tell=self.told.append, **more)

    @property
    def store(self) -> Store:
        return Store.open(self.place)

    @property
    def plan(self) -> Path:
        """Of KEY."""
        return self.store.path_of(KEY)

    @property
    def manifest(self) -> Path:
        return self.plan.with_suffix(".json")


class PlanEngine(OnnxRuntimeEngine):
    """Runs a plan, under the precision of its key."""

    backend = "slow"

    def __init__(self, plan: StoredPlan, options: EngineOptions, folder: Path) -> None:
        path = folder / "deserialised.onnx"
        path.write_bytes(plan.data)
        super().__init__(open_model(path), options)
        self.precision = plan.manifest.key.precision


def reference(path: Path, options: EngineOptions) -> Engine:
    """The network itself in fp32."""
    return OnnxRuntimeEngine(open_model(path), options)
