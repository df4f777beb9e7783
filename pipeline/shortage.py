"""What gives way when memory runs short: how many tiles at a time, then their size, then the device."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from derain.engines import registry
from derain.engines.card import ModelCard, Tiling
from derain.engines.engine import Engine, EngineOptions
from derain.pipeline.tiling import TilePlan, smallest_tile

Spare: TypeAlias = Callable[[Engine], Engine | None]
"""Gives what goes on where the device of an engine has no memory left; None where there is nothing."""

Tell: TypeAlias = Callable[[Engine, Engine], None]
"""Says that of two engines the second goes on for the first."""

log = logging.getLogger(__name__)


def no_spare(engine: Engine) -> None:
    """Nothing goes on."""


class Allowance:
    """How much an engine gets at a time: `batch` tiles of `side` pixels, None where nothing limits them.

    `fixed`: frames are not to be cut, so that only the device can give way.
    """

    def __init__(self, batch: int, fixed: bool) -> None:
        self._asked, self._fixed = batch, fixed
        self.reset()

    def reset(self) -> None:
        """Another engine has memory of its own."""
        self.batch = self._asked
        self.side: int | None = None

    def less(self, plan: TilePlan, card: ModelCard) -> str:
        """Allows less than `plan` took; says what, "" where it can't be less."""
        held, read = min(self.batch, len(plan.tiles)), max(plan.read_shape)
        if held > 1:
            self.batch = held // 2
            return f"{tiles_at_a_time(self.batch)} instead of {held}"
        smallest = smallest_tile(card.halo, card.multiple_of)
        if self._fixed or card.tiling is Tiling.WHOLE_FRAME or read <= smallest:
            return ""
        self.side = max(read // 2, smallest)
        return f"tiles of {self.side} pixels instead of {read}"


def tiles_at_a_time(count: int) -> str:
    """ "1 tile at a time", "2 tiles at a time"."""
    return f"{count} tile{'' if count == 1 else 's'} at a time"


def warn(short: Engine, spare: Engine) -> None:
    """A line in the log."""
    log.warning("%s", in_words(short, spare))


def in_words(short: Engine, spare: Engine) -> str:
    """Who goes on, and why."""
    return f"{spare.backend} {spare.precision} goes on: {why_left(short)}"


def why_left(short: Engine) -> str:
    """Why another engine goes on."""
    return f"the memory is too short for {short.backend} however little it does at a time"


class OnCpu:
    """The Spare that runs `model` on the CPU; there is none for an engine that does so already.

    `options`: those of the engines that it stands in for. `stack` closes it. It is opened once, whoever asks.
    """

    def __init__(self, model: Path, options: EngineOptions, stack: ExitStack, tell: Tell = warn) -> None:
        self._model, self._options, self._stack, self._tell = model, options, stack, tell
        self._engine: Engine | None = None

    def __call__(self, short: Engine) -> Engine | None:
        """See Spare; raises DerainError where it can't be opened."""
        if short.backend in registry.ON_CPU:
            return None
        if self._engine is None:
            self._engine = self._stack.enter_context(registry.open_on_cpu(self._model, self._options))
        self._tell(short, self._engine)
        return self._engine
