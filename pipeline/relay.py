"""Which engine restores from which frame on: one takes the place of another while a video runs."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from derain.engines.engine import Engine, EngineOptions
from derain.engines.swapping import BUILDS_PLANS, Successor
from derain.pipeline.metrics import Change
from derain.pipeline.shortage import OnCpu, why_left
from derain.pipeline.tiling import TilePlan

log = logging.getLogger(__name__)


class Runner(Protocol):
    """What restores, with an engine that another may go on for; see Restorer."""

    @property
    def engine(self) -> Engine: ...

    @property
    def plan(self) -> TilePlan | None: ...

    def exchange(self, engine: Engine) -> None: ...


class Relay:
    """Changes the engine of `restorer` in the midst of a run, and keeps account of it.

    `successor`, where there is one, opens from the first frame on and takes over between two frames, once.
    The thread that restores calls `before`, and `spare` where the memory of a device is too short; any may
    read `changes`. `stack` closes the engines that come in.
    """

    def __init__(self, model: Path, options: EngineOptions, stack: ExitStack) -> None:
        self.spare = OnCpu(model, options, stack, self._ran_short)
        self.changes: tuple[Change, ...] = ()
        self._stack = stack
        self._restorer: Runner | None = None
        self._successor: Successor | None = None
        self._frame = self._told = 0

    def follow(self, restorer: Runner, successor: Successor | None = None) -> None:
        """The restorer of the run, and what is to take over from its engine."""
        self._restorer, self._successor = restorer, successor
        if successor is not None:
            self._stack.callback(successor.close)

    def before(self, number: int) -> None:
        """Frame `number`, counted from 0, is about to be restored, and no other one is on its way."""
        self._frame = number
        restorer, successor = self._restorer, self._successor
        if restorer is None or successor is None or restorer.plan is None:
            return
        if not successor.begun:
            successor.start((1, *restorer.plan.read_shape))
        elif successor.ended.is_set():
            self._successor = None
            self._hand_over(restorer, successor)

    def _hand_over(self, restorer: Runner, successor: Successor) -> None:
        engine, before = successor.take(), restorer.engine
        if engine is None:
            self._note(before, None, f"{successor.names} did not take over ({successor.reason})")
            return
        self._stack.enter_context(engine)
        restorer.exchange(engine)
        before.close()
        self._note(engine, before, successor.reason)

    def end(self) -> None:
        """The run is over: what has not taken over by now is called off."""
        restorer, successor = self._restorer, self._successor
        self._successor = None
        if restorer is None or successor is None or not successor.begun:
            return
        if successor.ended.is_set() and not successor.ready:
            self._hand_over(restorer, successor)
        else:
            successor.close()
            self._note(restorer.engine, None, f"{successor.names} was not ready in time{advice(successor)}")

    def news(self) -> tuple[Change, ...]:
        """The changes that were not asked for yet; one thread asks."""
        news = self.changes[self._told :]
        self._told += len(news)
        return news

    def _ran_short(self, short: Engine, spare: Engine) -> None:
        self._note(spare, short, why_left(short))

    def _note(self, engine: Engine, before: Engine | None, reason: str) -> None:
        was = "" if before is None else f"{before.backend} {before.precision}"
        change = Change(self._frame, engine.backend, engine.precision, was, reason)
        log.info("%s", change.line())
        self.changes = (*self.changes, change)


def advice(successor: Successor) -> str:
    """What helps where no plan was ready."""
    builds = any(name in BUILDS_PLANS for name in successor.backends)
    return "; derain engine build makes its plan once and for all" if builds else ""
