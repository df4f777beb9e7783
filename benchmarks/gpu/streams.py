"""How many cameras at once: clips decoded at their own pace, one engine for all, no frame dropped."""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from derain.benchmarks.gpu.plan import Plan, Row
from derain.benchmarks.pattern import write_pattern
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.flight import Ticket
from derain.engines.registry import open_engine
from derain.pipeline.metrics import Histogram
from derain.pipeline.restore import Restorer
from derain.pipeline.sources.file import FileSource

RATE = 30
"""Frames a second of each stream."""
POLL = 0.05
"""Seconds between two looks at whether the streams have ended."""
LEAD = 0.5
"""Seconds in which the streams open before the first frame is due."""


@dataclass
class Trial:
    """Streams that run together. `ready`: (frame, when it was due). `late`: seconds from due to restored."""

    begins: float
    ready: queue.Queue[tuple[Pixels, float]] = field(default_factory=queue.Queue)
    dropped: int = 0
    late: Histogram = field(default_factory=Histogram)


def rows(plan: Plan) -> Iterator[Row]:
    """A row for each number of streams, up to the first that could not be held."""
    with (
        TemporaryDirectory(prefix="derain-gpu-") as folder,
        open_engine(plan.models[0], EngineOptions(plan.backends[0])) as engine,
    ):
        clip = Path(folder) / "stream.mp4"
        write_pattern(clip, *plan.stream_size, max(round(plan.stream_seconds * RATE), 2))
        restorer = Restorer(engine)
        with FileSource(clip) as source:
            restorer(next(iter(source)).pixels)  # the shape is compiled before anything is due
        for count in plan.streams:
            row = held(restorer, clip, count)
            yield {"model": engine.card.name, "backend": engine.backend, "streams": count} | row
            if row["dropped"]:
                return


def held(restorer: Restorer, clip: Path, count: int) -> Row:
    """One trial: a frame is dropped where the next of its stream is due and it was not even begun."""
    trial = Trial(time.perf_counter() + LEAD)
    cameras = [threading.Thread(target=camera, args=(clip, trial), daemon=True) for _ in range(count)]
    for one in cameras:
        one.start()
    restore_all(restorer, cameras, trial)
    late = {f"p{share} ms": round(trial.late.percentile(share) * 1e3, 1) for share in (50, 99)}
    return {"restored": trial.late.count, "dropped": trial.dropped} | late


def camera(clip: Path, trial: Trial) -> None:
    """Decodes ahead by a frame and hands each on when it is due, however long decoding took."""
    with FileSource(clip) as source:
        for number, frame in enumerate(source):
            due = trial.begins + number / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            trial.ready.put((frame.pixels, due))


def restore_all(restorer: Restorer, cameras: list[threading.Thread], trial: Trial) -> None:
    """Restores what is ready until nothing comes any more."""
    flying: deque[tuple[Ticket, float]] = deque()
    while any(one.is_alive() for one in cameras) or not trial.ready.empty() or flying:
        begun = begin_next(restorer, trial, wait=not flying)
        if begun is not None:
            flying.append(begun)
        if flying and (begun is None or len(flying) >= restorer.in_flight):
            ticket, due = flying.popleft()
            ticket.wait()
            trial.late.record(time.perf_counter() - due)


def begin_next(restorer: Restorer, trial: Trial, wait: bool) -> tuple[Ticket, float] | None:
    """The next frame that is ready, begun, and when it was due; None where there is none, or it came too
    late. `wait`: a little for it."""
    try:
        pixels, due = trial.ready.get(timeout=POLL if wait else 0.0)
    except queue.Empty:
        return None
    if time.perf_counter() > due + 1 / RATE:
        trial.dropped += 1
        return None
    return restorer.start(pixels), due
