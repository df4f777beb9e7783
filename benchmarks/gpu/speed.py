"""Frames a second of the networks alone: of pictures in host memory, and of pictures on the card."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from derain.benchmarks.gpu.plan import Plan, Row
from derain.engines.device.seam import Event
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import DerainError
from derain.engines.flight import InFlight, Ticket
from derain.engines.on_device import OnDevice
from derain.engines.registry import open_engine

LEAST, MOST = 5, 2000
"""Batches that are timed."""
WARM = 3
"""Batches before them."""

Shape: TypeAlias = tuple[int, int, int]
"""(N, H, W)."""
Measure: TypeAlias = Callable[[Engine, Shape, float], Row]


def rows(plan: Plan) -> Iterator[Row]:
    """A row for each backend, model, size, batch and way; those first that matter most."""
    for backend in plan.backends:
        for model in plan.models:
            try:
                with open_engine(model, EngineOptions(backend)) as engine:
                    yield from of_engine(engine, plan)
            except DerainError as error:
                yield {"model": model, "backend": backend, "problem": str(error)}


def of_engine(engine: Engine, plan: Plan) -> Iterator[Row]:
    """A size or batch for which the memory is too short has its reason in its row."""
    for batch in plan.batches:
        for name, size in plan.sizes:
            shape = fitted(engine.card.multiple_of, batch, size)
            row: Row = {"model": engine.card.name, "backend": engine.backend, "precision": engine.precision}
            row |= {"size": name, "batch": batch}
            for way, measure in ways(engine).items():
                try:
                    yield row | {"pictures on": way} | measure(engine, shape, plan.spell)
                except DerainError as error:
                    yield row | {"pictures on": way, "problem": str(error)}


def fitted(multiple: int, count: int, size: tuple[int, int]) -> Shape:
    """The shape of `count` frames of (width, height) as the network takes them."""
    width, height = (-(-side // multiple) * multiple for side in size)
    return count, height, width


def ways(engine: Engine) -> Mapping[str, Measure]:
    """Where pictures may lie when the engine gets them."""
    found: dict[str, Measure] = {"host": from_host}
    return found | {"card": on_card} if isinstance(engine, OnDevice) else found


def from_host(engine: Engine, shape: Shape, spell: float) -> Row:
    """Uploaded, restored, downloaded; as many in flight as the engine takes. A time is that between two."""
    rainy = noise(shape)
    outs = [np.empty((*shape, engine.channels), np.uint8) for _ in range(in_flight(engine))]
    flying: deque[Ticket] = deque()
    ends: list[float] = []
    states = [(np.zeros(one, np.float32), np.zeros(one, np.float32)) for one in state_shapes(engine, shape)]

    def step(number: int) -> None:
        if not isinstance(engine, InFlight) or engine.in_flight < 2 or states:
            engine.infer(rainy, outs[0], states)
            ends.append(time.perf_counter())
            return
        if len(flying) == len(outs):
            flying.popleft().wait()
            ends.append(time.perf_counter())
        flying.append(engine.start(rainy, outs[number % len(outs)]))

    repeat(step, spell)
    while flying:
        flying.popleft().wait()
        ends.append(time.perf_counter())
    return summary(np.diff(ends)[WARM - 1 :] * 1e3, shape[0])


def in_flight(engine: Engine) -> int:
    return engine.in_flight if isinstance(engine, InFlight) else 1


def state_shapes(engine: Engine, shape: Shape) -> list[tuple[int, ...]]:
    return [spec.shape(*shape) for spec in engine.states]


def noise(shape: Shape) -> Pixels:
    """Pixels of any kind: how fast a network is does not hang on them."""
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def repeat(step: Callable[[int], None], spell: float) -> None:
    """Steps for so many seconds after the warm ones, LEAST of them at least."""
    number, until = 0, np.inf
    while number < WARM + LEAST or (number < MOST and time.perf_counter() < until):
        step(number)
        number += 1
        if number == WARM:
            until = time.perf_counter() + spell


def on_card(engine: Engine, shape: Shape, spell: float) -> Row:
    """Pictures of which none crosses the bus. A time is that between the ends of two, by the card's clock."""
    assert isinstance(engine, OnDevice)
    device, pixels = engine.device, int(np.prod(shape))
    stream = device.stream()
    rainy, restored = device.allocate(pixels * 3), device.allocate(pixels * engine.channels)
    events: list[Event] = []

    def step(number: int) -> None:
        engine.enqueue(rainy, restored, shape, stream)
        events.append(device.event(timing=True))
        stream.record(events[-1])
        if number >= 2:  # no more than three are in flight: what is queued is not yet done
            events[number - 2].synchronize()

    try:
        repeat(step, spell)
        stream.synchronize()
        times = [later.milliseconds_since(one) for one, later in pairwise(events)]
        return summary(np.array(times[WARM - 1 :]), shape[0])
    finally:
        for event in events:
            event.close()
        stream.close()
        rainy.free()
        restored.free()


def summary(milliseconds: npt.NDArray[np.float64], batch: int) -> Row:
    """Of times a batch: frames a second over all of them, median and 99th percentile."""
    p50, p99 = np.percentile(milliseconds, (50, 99))
    fps = 1e3 * batch / milliseconds.mean()
    return {"fps": round(float(fps), 1), "p50 ms": round(float(p50), 3), "p99 ms": round(float(p99), 3)}
