"""The cheap first stage: a tiny network that sees where a frame may have rain, and changes nothing."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from derain.engines import models
from derain.engines.engine import Engine, EngineOptions, Pixels, Scores
from derain.engines.registry import open_engine
from derain.pipeline.restore import Restorer

NAME = "glance.onnx"
DRY = 0.3
"""A cell is dry below this. The glance is trained to take dry cells for rainy ones sooner than the other way
round."""


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
    return Glance(stack.enter_context(open_engine(path, own)))


class Glance:
    """An engine whose attention map is all that is wanted of it; whoever opened it closes it."""

    def __init__(self, engine: Engine) -> None:
        self.scale = engine.card.attention_scale
        self._restorer = Restorer(engine)
        self._out: Pixels | None = None

    def __call__(self, pixels: Pixels) -> Scores:
        """How much rain there may be in `pixels` (H, W, 3), 0..1, in cells of `scale` pixels a side:
        (ceil(H / scale), ceil(W / scale))."""
        if self._out is None or self._out.shape != pixels.shape:
            self._out = np.empty_like(pixels)
        self._restorer(pixels, self._out)
        assert self._restorer.scores is not None, "a glance is opened with its scores"
        return self._restorer.scores
