"""An engine of plain numpy, for tests of what stands around engines."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
import onnx_models

from derain.engines.card import ModelCard
from derain.engines.engine import Pixels, Scores, States
from derain.engines.errors import MemoryShortError
from derain.engines.modelfile import StateSpec


def invert(batch: Pixels) -> Pixels:
    inverted: Pixels = np.iinfo(batch.dtype).max - batch
    return inverted


class FakeEngine:
    """Applies `function` to batches; `shapes` are those it got, `batches` the arrays themselves.

    `most`: pixels a call that it has memory for. `channels`: of what `function` gives. It is not recurrent,
    and gives no scores.
    """

    backend = "fake"
    precision = "exact"
    precision_reason = ""
    backend_reason = ""
    states: tuple[StateSpec, ...] = ()
    gives_scores = False

    def __init__(
        self,
        card: ModelCard = onnx_models.CARD,
        function: Callable[[Pixels], Pixels] = invert,
        most: float = float("inf"),
        channels: int = 3,
    ) -> None:
        self.card = card
        self.function = function
        self.most = most
        self.channels = channels
        self.batches: list[Pixels] = []
        self.closed = False

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [batch.shape for batch in self.batches]

    def infer(
        self,
        batch: Pixels,
        out: Pixels | None = None,
        states: States = (),
        scores: Scores | None = None,
    ) -> Pixels:
        assert not states, "a network that is not recurrent takes none"
        assert scores is None, "it gives none"
        if batch.size // 3 > self.most:
            raise MemoryShortError("the memory is gone")
        assert batch.flags.c_contiguous, "engines take contiguous batches"
        self.batches.append(batch)
        result = self.function(batch)
        if out is None:
            return result
        out[...] = result
        return out

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
