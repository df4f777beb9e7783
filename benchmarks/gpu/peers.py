"""PReNet, rebuilt, with its published weights, on the same card as our networks: milliseconds a frame."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from derain.benchmarks.gpu.plan import Plan, Row
from derain.benchmarks.gpu.speed import fitted, from_host, noise, summary
from derain.benchmarks.peers import prenet
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.registry import open_engine

TRAINED_ON = "Rain100H"
LEAST = 5


def rows(plan: Plan) -> Iterator[Row]:
    """Ours, then theirs, in fp32 as published and in fp16; a frame goes up and comes back in each."""
    for model in plan.models:
        with open_engine(model, EngineOptions(plan.backends[0])) as engine:
            found = from_host(engine, fitted(engine.card.multiple_of, 1, plan.peer_size), plan.spell)
            yield {"method": engine.card.name, "precision": engine.precision} | found
    if plan.peers is None:
        raise DerainError("PReNet is left out: name the folder of its weights with --peers")
    for variant in prenet.VARIANTS:
        critic = prenet.load(plan.peers, TRAINED_ON, variant)
        for dtype in (torch.float32,) if plan.rehearsal else (torch.float32, torch.float16):
            found = their_time(critic.network, dtype, plan)
            yield {"method": critic.name, "precision": str(dtype).removeprefix("torch.")} | found


def their_time(network: nn.Module, dtype: torch.dtype, plan: Plan) -> Row:
    """Median and 99th percentile of a frame in host memory, restored into host memory."""
    device = torch.device(plan.torch)
    ready = network.to(device, dtype).eval()
    frame = torch.from_numpy(noise(fitted(1, 1, plan.peer_size))).permute(0, 3, 1, 2)

    def restore() -> Tensor:
        with torch.inference_mode():
            restored = ready(frame.to(device).to(dtype) / 255)
            given: Tensor = (restored * 255).round().to(torch.uint8).cpu()
            return given

    return summary(np.array(timed(restore, plan.spell)) * 1e3, 1)


def timed(restore: Callable[[], Tensor], spell: float) -> list[float]:
    """Seconds of each call, for so many seconds after one that is not counted."""
    restore()
    times: list[float] = []
    while len(times) < LEAST or sum(times) < spell:
        began = time.perf_counter()
        restore()
        times.append(time.perf_counter() - began)
    return times
