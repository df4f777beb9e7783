"""Whether a compiled network computes what it should: probe frames through it and through a reference."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from derain.engines.card import ModelCard, Tiling
from derain.engines.engine import Engine, Pixels, Scores, States
from derain.engines.parity import BARS, TILES, Figures, Parity
from derain.engines.probes import probes
from derain.engines.quality import psnr

STEPS = 3
"""Frames in a row that a recurrent network gets of each probe."""
LEVELS = 255.0
MOVED = 3
"""Pixels that a probe moves to the right from one frame to the next."""


def check(engine: Engine, reference: Engine, shape: tuple[int, int, int], dtype: str = "uint8") -> Parity:
    """Probe frames through both, which were opened with the same options, `dtype` among them.

    `shape`: (N, H, W) of batches that `engine` takes, multiples of what the network takes. Two tiles of that
    size are put together as well, to a frame of nearly twice the width, which `reference` restores whole.
    Raises DerainError where either fails.
    """
    count, height, width = shape
    frames = probes(height, width, dtype)
    found: list[Figures] = []
    for name, frame in frames.items():
        found += _probe(engine, reference, name, frame, count)
    found += _tiles(engine, reference, shape, dtype)
    told = f"{reference.backend} {reference.precision}"
    return Parity(told, BARS[engine.precision], (height, width), tuple(found))


def _probe(engine: Engine, reference: Engine, name: str, frame: Pixels, count: int) -> list[Figures]:
    """Of all that both give for `count` moving copies of `frame`: the least PSNR, the greatest error."""
    steps = STEPS if reference.states else 1
    batches = [_batch(frame, count, step) for step in range(steps)]
    both = zip(_restored(engine, batches), _restored(reference, batches), strict=True)
    found = [{kind: _figures(name, kind, mine[kind], twin[kind]) for kind in twin} for mine, twin in both]
    return [_worst([step[kind] for step in found]) for kind in found[0]]


def _worst(steps: Sequence[Figures]) -> Figures:
    """Of figures of one kind."""
    near = [figures.psnr for figures in steps if figures.psnr is not None]
    return replace(steps[0], psnr=min(near, default=None), error=max(figures.error for figures in steps))


def _batch(frame: Pixels, count: int, step: int) -> Pixels:
    """`count` frames, each moved on from the one before it, and all of them from those of the last step."""
    return np.stack([np.roll(frame, MOVED * (step + number), axis=1) for number in range(count)])


def _restored(engine: Engine, batches: Sequence[Pixels]) -> Iterator[dict[str, Pixels | Scores]]:
    """For each batch the pixels and, where the engine gives them, maps and scores; it remembers those
    before."""
    states = _no_states(engine, batches[0])
    for batch in batches:
        scores = _room_for_scores(engine, batch) if engine.gives_scores else None
        given = engine.infer(batch, states=states, scores=scores)
        kinds: dict[str, Pixels | Scores] = {"pixels": given[..., :3]}
        kinds |= {"maps": given[..., 3:]} if engine.channels > 3 else {}
        yield kinds if scores is None else kinds | {"scores": scores}
        states = [(written, read) for read, written in states]


def _no_states(engine: Engine, batch: Pixels) -> States:
    shapes = [spec.shape(*batch.shape[:3]) for spec in engine.states]
    return [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]


def _room_for_scores(engine: Engine, batch: Pixels) -> Scores:
    count, height, width = batch.shape[:3]
    scale = engine.card.attention_scale
    return np.zeros((count, height // scale, width // scale), np.float32)


def _figures(name: str, kind: str, found: Pixels | Scores, right: Pixels | Scores) -> Figures:
    """Of pixels, maps or scores, which are in 0..1."""
    if not np.isfinite(found).all():
        return Figures(name, 0.0, LEVELS, kind)
    peak = 1 if kind == "scores" else 2 ** (8 * found.itemsize) - 1
    near = psnr(found, right, peak)
    error = np.abs(found.astype(np.float64) - right).max() * LEVELS / peak
    return Figures(name, None if near == float("inf") else near, round(float(error), 3), kind)


def _tiles(engine: Engine, reference: Engine, shape: tuple[int, int, int], dtype: str) -> list[Figures]:
    """Two tiles of `shape` beside each other against the whole frame; nothing where they can't be had.

    As the pipeline cuts: each reads its core and a halo, and the seam is in the middle of what both read.
    """
    card, (count, height, width) = engine.card, shape
    margin = _margin(card)
    if card.tiling is not Tiling.EXACT or width < width_for_tiles(card):
        return []
    frame = probes(height, 2 * (width - margin), dtype)["rain"]
    halves = [_alone(engine, part, count) for part in (frame[:, :width], frame[:, -width:])]
    tiled = np.concatenate([halves[0][:, : width - margin], halves[1][:, margin:]], axis=1)
    return [_figures(TILES, "pixels", tiled, _alone(reference, frame, 1))]


def width_for_tiles(card: ModelCard) -> int:
    """The least width of batches for which tiles are compared as well."""
    return 2 * _margin(card) + card.multiple_of


def _margin(card: ModelCard) -> int:
    """The halo in multiples of what the network takes."""
    return -(-card.halo // card.multiple_of) * card.multiple_of


def _alone(engine: Engine, frame: Pixels, count: int) -> Pixels:
    """One frame's pixels, restored in a batch of `count` like it."""
    batch = np.stack([frame] * count)
    (kinds,) = _restored(engine, [batch])
    pixels: Pixels = kinds["pixels"][0]
    return pixels
