"""How long a network takes for a frame on this machine: measured when first asked, then kept for a day."""

import hashlib
import json
import logging
import time
from collections import deque
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from derain.engines import cache
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.machine import cpu_name, installed, nvidia_gpus, usable_cores
from derain.engines.registry import version_of
from derain.pipeline.restore import Restorer, TileChoice

KEPT_FOR = 24 * 3600
"""Seconds."""
BUSY = 0.1
"""What was measured while others took more than this share of the processor is not kept."""
TIMED = 5
"""Frames that are timed, after one that is not, with which the network is compiled for the size."""
HOPELESS = 2
"""A network that needs so many times the time there is has been timed enough with two frames."""
FOLDER = "speeds"
"""In the cache."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Speed:
    """`seconds`: of a frame through the network with these weights. `at`: when, in seconds since 1970."""

    sha256: str
    backend: str
    precision: str
    threads: int | None
    width: int
    height: int
    machine: str
    seconds: float
    at: float


def seconds_a_frame(
    engine: Engine, options: EngineOptions, tile: TileChoice, size: tuple[int, int], enough: float
) -> float:
    """How long `engine`, opened with `options`, takes for a frame of `size` (width, height) in such tiles.

    At the median, with all that restoring a frame needs: padding, tiles, states. `enough`: seconds there are;
    far above them it is measured with less care. Raises DerainError where the engine fails.
    """
    facts = _facts(engine, options, tile, size)
    place = cache.prepare(options.cache_dir, FOLDER, "measured speeds")
    path = None if place is None else place / _name(facts)
    if path is not None and (known := _read(path)) is not None:
        return known.seconds
    log.info("measuring %s at %dx%d", engine.card.name, *size)
    frame, began, before = noise(size, options.dtype), time.perf_counter(), others_worked()
    seconds = measure(Restorer(engine, tile, sequence=True), frame, enough)
    others = (others_worked() - before) / (time.perf_counter() - began)
    if others > BUSY:
        log.info(
            "its %.1f ms are not kept: others took %.0f %% of the processor", seconds * 1e3, others * 100
        )
    elif path is not None:
        _keep(path, facts, seconds)
    return seconds


def measure(restorer: Restorer, frame: Pixels, enough: float) -> float:
    """Seconds for `frame` at the median, see `seconds_a_frame`; from one to the next where several are in
    flight, as in a video."""
    restorer(frame)
    further = restorer.in_flight - 1
    flying = deque(restorer.start(frame) for _ in range(further))
    for _ in range(2 * further):  # each place on a device has a first time, and one where it makes its graph
        flying.append(restorer.start(frame))
        flying.popleft().wait()
    times: list[float] = []
    while len(times) < TIMED and not (len(times) > 1 and min(times) > HOPELESS * enough):
        began = time.perf_counter()
        flying.append(restorer.start(frame))
        flying.popleft().wait()
        times.append(time.perf_counter() - began)
    for ticket in flying:
        ticket.wait()
    return median(times)


def others_worked() -> float:
    """Seconds of the whole processor that all processes but this one have taken since the machine started."""
    times = psutil.cpu_times()
    worked = sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
    return float(worked - time.process_time()) / (psutil.cpu_count() or 1)


def kept(cache_dir: Path | None = None) -> list[Speed]:
    """What was measured on this machine in the last day, the latest last."""
    found = (_read(path) for path in (cache.folder(cache_dir) / FOLDER).glob("*.json"))
    here = [speed for speed in found if speed is not None and speed.machine == _machine()]
    return sorted(here, key=lambda speed: speed.at)


def noise(size: tuple[int, int], dtype: str) -> Pixels:
    """A frame (H, W, 3) of `size` (width, height)."""
    shape = (size[1], size[0], 3)
    made: Pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return made


def _facts(engine: Engine, options: EngineOptions, tile: TileChoice, size: tuple[int, int]) -> dict[str, Any]:
    """All that the time for a frame depends on."""
    return {
        "name": engine.card.name,
        "version": engine.card.version,
        "sha256": engine.card.sha256,
        "backend": engine.backend,
        "runtime": version_of(engine.backend),
        "precision": engine.precision,
        "threads": options.threads,
        "width": size[0],
        "height": size[1],
        "tile": tile,
        "options": asdict(replace(options, cache_dir=None)),
        "machine": _machine(),
        "derain": installed("derain"),
    }


def _machine() -> str:
    return ", ".join((cpu_name(), f"cores: {usable_cores()}", *nvidia_gpus()[0]))


def _name(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32] + ".json"


def _read(path: Path) -> Speed | None:
    """What was kept there; None where there is nothing, or it is old or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        speed = Speed(**{item.name: content[item.name] for item in fields(Speed)})
        fresh = 0 <= time.time() - speed.at < KEPT_FOR
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return speed if fresh else None


def _keep(path: Path, facts: dict[str, Any], seconds: float) -> None:
    try:
        path.write_text(json.dumps({**facts, "seconds": seconds, "at": time.time()}), encoding="utf-8")
    except OSError as error:
        log.warning("the speed of %s is not kept: %s: %s", facts["name"], path, error.strerror)
