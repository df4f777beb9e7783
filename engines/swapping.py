"""One engine in place of another, in the midst of a video: opened and checked while the other one works."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from derain.engines import registry, selfcheck
from derain.engines.ahead import Ahead, Shape, warm
from derain.engines.card import ModelCard
from derain.engines.engine import Engine, EngineOptions
from derain.engines.errors import DerainError
from derain.engines.modelfile import open_model
from derain.engines.parity import Parity
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.store import Store

SAME_ON_CARDS = ("name", "version", "halo", "multiple_of", "tiling", "attention", "attention_scale")
SAME_OF_ENGINES = ("channels", "gives_scores", "states")
BUILDS_PLANS = ("tensorrt", "tensorrt_rtx")
"""Backends whose opening may take minutes, and leaves in the cache what took them."""
PROBE = 256
"""Pixels a side, about, of the frames that an engine is checked with."""
GRACE = 10.0
"""Seconds given to an opening that is called off; one stuck inside a runtime is then left behind."""

log = logging.getLogger(__name__)


def differs(one: Engine, other: Engine) -> str:
    """Why `other` can't go on for `one` in the midst of a video, "" where it can.

    Both must run the same network, opened to give the same; precision, backend and device may be others.
    """
    facts = [(name, getattr(one.card, name), getattr(other.card, name)) for name in SAME_ON_CARDS]
    facts += [(name, getattr(one, name), getattr(other, name)) for name in SAME_OF_ENGINES]
    others = (
        f"its {name.replace('_', ' ')} is {there}, not {here}" for name, here, there in facts if here != there
    )
    return next(others, "")


class Successor:
    """The engine that is to take the place of `now`, opened in a thread of its own from `start` on.

    It is the first of `backends` that opens `model` with `options`, computes what the CPU does in fp32, and
    has restored a batch as large as those it will get. Plans are built in a process of their own, see Ahead.
    """

    def __init__(self, model: Path, options: EngineOptions, backends: Sequence[str], now: Engine) -> None:
        self._model, self._options, self.backends, self._now = model, options, tuple(backends), now
        self._ahead = Ahead()
        self._called_off = False
        self._engine: Engine | None = None
        self._thread = threading.Thread(target=self._run, name="derain-successor", daemon=True)
        self._shape: Shape = (1, PROBE, PROBE)
        self.ended = threading.Event()
        self.reason = ""
        """Once it has ended: what was measured of the engine, or why there is none."""

    @property
    def names(self) -> str:
        """The backends, in words."""
        return " or ".join(self.backends)

    @property
    def begun(self) -> bool:
        """Whether it was started."""
        return self._thread.ident is not None

    @property
    def ready(self) -> bool:
        """Whether there is an engine to take."""
        return self._engine is not None

    def start(self, shape: Shape) -> None:
        """Begins, with batches of `shape` in prospect."""
        self._shape = shape
        self._thread.start()

    def take(self) -> Engine | None:
        """The engine, for the caller to close, once `ended`; None where there is none."""
        engine, self._engine = self._engine, None
        return engine

    def close(self) -> None:
        """Calls it off and waits for the thread; an engine that nobody took is closed."""
        self._called_off = True
        self._ahead.stop()
        deadline = time.monotonic() + GRACE
        while self.begun and not self.ended.is_set() and time.monotonic() < deadline:
            with suppress(KeyboardInterrupt):
                self.ended.wait(deadline - time.monotonic())
        if self.ended.is_set():
            self._thread.join()
        elif self.begun:
            log.warning("%s did not stop opening within %g seconds and is left behind", self.names, GRACE)
            return
        if (engine := self.take()) is not None:
            engine.close()

    def _run(self) -> None:
        with self:
            refusals = []
            for backend in self.backends:
                try:
                    self._engine = self._open(replace(self._options, backend=backend))
                    return
                except DerainError as error:
                    refusals.append(f"{backend}: {error}")
            self.reason = "; ".join(refusals)

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """The thread is at its end; a video goes on without what it was to open, whatever befell it."""
        if error is not None:
            self.reason = f"{type(error).__name__}: {error}"
        self.ended.set()
        return True

    def _open(self, options: EngineOptions) -> Engine:
        began = time.monotonic()
        if options.backend in BUILDS_PLANS and are_kept(options.cache_dir):
            self._ahead.open(self._model, options, self._shape)
        with ExitStack() as stack:
            self._go_on()
            engine = stack.enter_context(registry.open_engine(self._model, options))
            if engine.backend in registry.ON_CPU:
                raise DerainError("there is no memory left on its device")
            if reason := differs(self._now, engine):
                raise DerainError(reason)
            parity = self._check(engine)
            warm(engine, self._shape, options.dtype)
            self._go_on()
            stack.pop_all()
        seconds, worst = time.monotonic() - began, parity.worst.told()
        self.reason = f"opened and checked in {seconds:.1f} s, at worst {worst} beside {parity.reference}"
        return engine

    def _check(self, engine: Engine) -> Parity:
        """What was measured beside the CPU, on one thread of it; raises DerainError where that is too far."""
        self._go_on()
        exact = open_model(self._model).card.precision
        options = replace(registry.on_cpu(self._options), precision=exact, threads=1)
        with registry.open_engine(self._model, options) as reference:
            parity = selfcheck.check(engine, reference, probe_shape(engine.card), options.dtype)
        if not parity.passed:
            raise DerainError(f"it does not compute what the network does ({'; '.join(parity.failures)})")
        return parity

    def _go_on(self) -> None:
        if self._called_off:
            raise DerainError("it was called off")


def are_kept(cache_dir: Path | None) -> bool:
    """Whether plans that another process builds can be had from the cache."""
    try:
        return not Store.open(cache_dir).unwritable
    except UnsafeError:
        return False


def probe_shape(card: ModelCard) -> Shape:
    """(N, H, W) of a batch that is enough to check a network with: at least what it takes to cut tiles."""
    tile = 2 * card.halo + 3 * card.multiple_of
    side = -(-max(PROBE, tile) // card.multiple_of) * card.multiple_of
    return 1, side, side
