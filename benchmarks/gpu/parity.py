"""How far each network is from fp32 on the CPU, in every backend and precision that runs."""

import time
from collections.abc import Iterator

from derain.benchmarks.gpu.plan import Plan, Row
from derain.engines import selfcheck
from derain.engines.card import ModelCard
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.registry import open_engine, open_on_cpu

SIDE = 256
"""Pixels a side, at least, of the probe frames."""


def rows(plan: Plan) -> Iterator[Row]:
    """A row for each model, backend and precision."""
    for model in plan.models:
        with open_on_cpu(model, EngineOptions(precision="fp32")) as reference:
            for backend in plan.backends:
                for precision in plan.precisions:
                    row: Row = {"model": reference.card.name, "backend": backend, "precision": precision}
                    began = time.perf_counter()
                    try:
                        with open_engine(model, EngineOptions(backend, precision)) as engine:
                            opened = time.perf_counter() - began
                            found = selfcheck.check(engine, reference, probe_shape(engine.card))
                    except DerainError as error:
                        yield row | {"problem": str(error)}
                        continue
                    worst = found.worst
                    row |= {"open s": round(opened, 2), "worst probe": worst.probe, "psnr dB": worst.psnr}
                    yield row | {"greatest error": worst.error, "problem": "; ".join(found.failures)}


def probe_shape(card: ModelCard) -> tuple[int, int, int]:
    """(N, H, W) of a frame that two tiles may be cut of."""
    side = max(SIDE, selfcheck.width_for_tiles(card))
    side = -(-side // card.multiple_of) * card.multiple_of
    return 1, side, side
