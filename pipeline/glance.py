"""The cheap first stage: a tiny network that sees where a frame may have rain, and changes nothing."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from derain.engines import models
from derain.engines.engine import Engine, EngineOptions, Pixels, Scores
from derain.engines.registry import open_engine
from derain.pipeline.restore import Restorer
from derain.pipeline.shortage import OnCpu, Spare, no_spare

Levels = npt.NDArray[np.float64]
"""Scores of one picture, or of several tiles."""
Which = npt.NDArray[np.bool_]
"""Of such levels."""

NAME = "glance.onnx"
MARGIN = 0.01
"""A score so little above a dry one is dry too."""
RATE = 0.25
"""The share of the way to a higher level that one lesson takes."""


def shipped_glance() -> Path | None:
    """The file of the glance, None where this installation has none."""
    path = models.SHELF / NAME
    return path if path.exists() else None


def open_glance(options: EngineOptions, stack: ExitStack) -> "Glance | None":
    """The shipped glance, if there is one, on the backend and threads of `options`; `stack` closes it."""
    path = shipped_glance()
    if path is None:
        return None
    # What is asked of the network does not hold for the glance, which has one precision and one map.
    own = replace(options, precision="auto", attention=False, scores=True, keep=())
    return Glance(stack.enter_context(open_engine(path, own)), OnCpu(path, own, stack))


class Glance:
    """An engine whose attention map is all that is wanted of it; whoever opened it closes it."""

    def __init__(self, engine: Engine, spare: Spare = no_spare) -> None:
        self.scale, self.dry_below = engine.card.attention_scale, engine.card.dry_below
        self._restorer = Restorer(engine, spare=spare)
        self._out: Pixels | None = None

    def __call__(self, pixels: Pixels) -> Scores:
        """How much rain there may be in `pixels` (H, W, 3), 0..1, in cells of `scale` pixels a side:
        (ceil(H / scale), ceil(W / scale))."""
        if self._out is None or self._out.shape != pixels.shape:
            self._out = np.empty_like(pixels)
        self._restorer(pixels, self._out)
        assert self._restorer.scores is not None, "a glance is opened with its scores"
        return self._restorer.scores


class Lessons:
    """What a glance takes for dry, taught by the network: what scores no more than its card's `dry_below`, or
    than what the network has found dry in the same scene scored again and again."""

    def __init__(self, glance: Glance) -> None:
        self._least = glance.dry_below
        self.forget()

    def forget(self) -> None:
        """Another scene begins."""
        self._known: Levels = np.zeros(())

    def are_dry(self, levels: Levels) -> Which:
        """Which of `levels` are those of dry ones; what is no number is not."""
        return np.asarray(levels < np.maximum(self._least, self._known + MARGIN))

    def learn(self, levels: Levels, dry: Which | bool = True, heard: Which | bool = True) -> None:
        """What has these levels is `dry` to the network, where it was `heard`; what it does not find dry
        undoes what was learnt there. One high level teaches little: it may be a flash."""
        more = self._known + RATE * np.fmax(levels - self._known, 0)
        self._known = np.where(heard, np.where(dry, more, 0), self._known)
