"""How far a network is from what bus, memory and arithmetic allow: bytes and operations a frame."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import shape_inference

from derain.benchmarks.gpu.plan import Plan, Row
from derain.benchmarks.gpu.speed import Shape, fitted, ways
from derain.engines.device import opening
from derain.engines.device.seam import Device, Stream
from derain.engines.engine import EngineOptions
from derain.engines.modelfile import open_model
from derain.engines.models import find
from derain.engines.registry import open_engine

ROUNDS = 8
"""Copies that are timed, after one that is not."""
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}
"""Of a value between two operators."""
SIZE = "1080p"


@dataclass(frozen=True)
class Rates:
    """Bytes a second: to the card, from it, and of its memory, reading and writing both counted."""

    up: float
    down: float
    memory: float


@dataclass(frozen=True)
class Work:
    """Of one frame: `values` that operators write, multiply-accumulates of its convolutions."""

    values: int
    macs: int


def rows(plan: Plan) -> Iterator[Row]:
    """What was copied a second, then each model at SIZE beside what the copies would allow."""
    with opening.open_device(plan.device) as device:
        rates = copied(device, plan.copied)
    for what, rate in (("upload", rates.up), ("download", rates.down), ("memory", rates.memory)):
        yield {"what": what, "GB/s": round(rate / 1e9, 2)}
    for model in plan.models:
        with open_engine(model, EngineOptions(plan.backends[0])) as engine:
            shape = fitted(engine.card.multiple_of, 1, dict(plan.sizes)[SIZE])
            found = work(open_model(find(model)).graph, shape)
            fps = {way: measure(engine, shape, plan.spell)["fps"] for way, measure in ways(engine).items()}
            row = {"what": f"{engine.card.name} {SIZE}", "GMAC": round(found.macs / 1e9, 3)}
            yield row | beside(
                fps, found.values * BYTES[engine.precision] * 2, int(np.prod(shape)) * 3, rates
            )


def beside(fps: dict[str, float], memory: int, crossing: int, rates: Rates) -> Row:
    """`memory`: bytes a frame that are written between operators and read again, at the least where none are
    put together; `crossing`: bytes up, and as many down at the same time."""
    bus, moved = min(rates.up, rates.down) / crossing, rates.memory / memory
    row: Row = {"crossing MB": round(2 * crossing / 1e6, 1), "memory MB": round(memory / 1e6, 1)}
    row |= {"fps by bus": round(bus, 1), "fps by memory": round(moved, 1)}
    row |= {f"fps {way}": value for way, value in fps.items()}
    return row | {
        "share of bus": round(fps["host"] / bus, 3),
        "of memory": round(max(fps.values()) / moved, 3),
    }


def copied(device: Device, count: int) -> Rates:
    """Of `count` bytes each way, from and to page-locked memory."""
    stream, one, other = device.stream(), device.allocate(count), device.allocate(count)
    array = device.pinned((count,), np.uint8)
    seconds = [
        timed(stream, put)
        for put in (
            lambda: device.upload(array, one, stream),
            lambda: device.download(one, array, stream),
            lambda: device.copy(one, other, count, stream),
        )
    ]
    return Rates(count / seconds[0], count / seconds[1], 2 * count / seconds[2])


def timed(stream: Stream, put: Callable[[], None]) -> float:
    """Seconds for one of ROUNDS that are put in together."""
    put()
    stream.synchronize()
    began = time.perf_counter()
    for _ in range(ROUNDS):
        put()
    stream.synchronize()
    return (time.perf_counter() - began) / ROUNDS


def work(graph: onnx.ModelProto, shape: Shape) -> Work:
    """Of a graph that takes (N, 3, H, W), for a batch of `shape` (N, H, W)."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(graph)
    count, height, width = shape
    dims = fixed.graph.input[0].type.tensor_type.shape.dim
    for dim, value in zip(dims, (count, 3, height, width), strict=True):
        dim.dim_value = value
    known = shape_inference.infer_shapes(fixed, data_prop=True).graph
    sizes = {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in known.value_info}
    sizes |= {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in known.output}
    shapes = sizes | {one.name: list(one.dims) for one in known.initializer}
    values = sum(int(np.prod(sizes.get(name, [0]))) for node in known.node for name in node.output)
    convolutions = [node for node in known.node if node.op_type == "Conv"]
    return Work(values, sum(macs(shapes[node.output[0]], shapes[node.input[1]]) for node in convolutions))


def macs(given: list[int], weight: list[int]) -> int:
    """Of a convolution: each value it gives is a sum over its kernel in the channels it reads."""
    return int(np.prod(given) * np.prod(weight[1:]))
