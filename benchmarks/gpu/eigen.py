"""Eigen's network at the sizes whose times he tells (section 2.4, a GTX 580), beside his seconds."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from derain.benchmarks.exported import write
from derain.benchmarks.gpu.plan import Plan, Row
from derain.engines.engine import EngineOptions
from derain.engines.registry import open_engine
from derain.pipeline.restore import Restorer
from derain.train.evaluate import RGB
from derain.train.networks.registry import entry

HIS = {(3888, 2592): 60.0, (1280, 720): 7.0}
"""Seconds a frame of (width, height)."""
ROUNDS = 3


def rows(plan: Plan) -> Iterator[Row]:
    """A row a size, with random weights, which are as fast as learnt ones."""
    with TemporaryDirectory(prefix="derain-gpu-") as folder:
        path = Path(folder) / "eigen2013.onnx"
        write(entry("eigen2013"), plan.eigen_width, path)
        with open_engine(str(path), EngineOptions(plan.backends[0])) as engine:
            restorer = Restorer(engine)
            for width, height in plan.eigen:
                frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
                seconds = float(np.median([timed(restorer, frame) for _ in range(ROUNDS + 1)][1:]))
                row: Row = {
                    "backend": engine.backend,
                    "precision": engine.precision,
                    "size": f"{width}x{height}",
                }
                cut = restorer.plan
                row |= {"seconds": round(seconds, 4), "tiles": len(cut.tiles) if cut else 0}
                yield row | {"his seconds": HIS.get((width, height))}


def timed(restorer: Restorer, frame: RGB) -> float:
    """Seconds for one frame, from host memory and back."""
    began = time.perf_counter()
    restorer(frame)
    return time.perf_counter() - began
