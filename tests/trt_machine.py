"""A machine with a card and a runtime of plain Python, and engines on it."""

from pathlib import Path
from typing import Any

import numpy as np
from trt_run_fake import FakeGpu, Package

from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.modelfile import open_model
from derain.engines.registry import open_engine
from derain.engines.tensorrt import TensorRTEngine
from derain.engines.tensorrt_rtx import TensorRTRTXEngine

KINDS: dict[str, type[TensorRTEngine]] = {"tensorrt": TensorRTEngine, "tensorrt_rtx": TensorRTRTXEngine}
VERSION, RTX_VERSION = "11.1.0.7", "1.7.1.116"


class Machine:
    """A card and a package for it. `package`: what it was asked; see `opened`."""

    def __init__(self, backend: str, package: Package, cache: Path) -> None:
        self.backend, self.package, self._cache = backend, package, cache
        self.engines: list[TensorRTEngine] = []

    def opened(self, path: Path, precision: str = "fp32", **options: Any) -> TensorRTEngine:
        asked = EngineOptions(self.backend, precision, cache_dir=self._cache, **options)
        self.engines.append(KINDS[self.backend](open_model(path), asked))
        return self.engines[-1]

    @property
    def gpu(self) -> FakeGpu:
        return self.package.device

    def count(self, name: str) -> int:
        return self.package.count(name)


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def on_cpu(path: Path, **options: Any) -> Engine:
    return open_engine(path, EngineOptions("onnxruntime", threads=1, **options))


def near(one: Pixels, other: Pixels) -> bool:
    return one.shape == other.shape and bool(np.abs(one.astype(int) - other).max() <= 1)
