"""Runs a source through a restorer into sinks: three threads, bounded channels, one way to end."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeAlias

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.engines.flight import Ticket
from derain.pipeline.channel import CancelledError, Channel
from derain.pipeline.continuity import Continuity, Look
from derain.pipeline.flying import Landing, Starter
from derain.pipeline.frame import Frame
from derain.pipeline.metrics import Change, Metrics, Rain, Snapshot, StageTimes
from derain.pipeline.sink import Sink
from derain.pipeline.source import Source

CAPACITY = 3
"""Frames a channel holds: enough to smooth the stages, little enough for 4K frames in memory."""
POLL = 0.1
"""Seconds between two looks at the threads, which is also how often progress is told."""
GRACE = 10.0
"""Seconds given to threads to leave once called off; one stuck inside a decoder is then left behind."""

Restore: TypeAlias = Callable[[Pixels], Pixels]
Forget: TypeAlias = Callable[[], None]
Compose: TypeAlias = Callable[[Pixels, Pixels], Pixels]
Tell: TypeAlias = Callable[[Snapshot], None]

log = logging.getLogger(__name__)


class Judge(Protocol):
    """What tells where rain is, of the frames that a run restores; see Bypass."""

    @property
    def rain(self) -> Rain: ...

    def reset(self) -> None: ...


class Changing(Protocol):
    """What may give the restorer another engine; see Relay."""

    @property
    def changes(self) -> tuple[Change, ...]: ...

    def before(self, number: int) -> None: ...


def restored_only(rainy: Pixels, restored: Pixels) -> Pixels:
    """The picture of the main output: (H, W, 3), `restored` as it is."""
    return restored


@dataclass(frozen=True)
class Output:
    """A sink and the picture it gets: `compose(rainy, restored)`, of one dtype.

    `rainy`: (H, W, 3). `restored`: what the restorer gave, (H, W, 3), or 4 with an attention map.
    """

    sink: Sink
    compose: Compose = restored_only


@dataclass(frozen=True)
class Report:
    """What a run did.

    `frames`: written. `held`: corrupt ones replaced by the last good one. `stages`: times by stage name.
    `latency`: seconds from decoded to written, `interval`: seconds between frames written, both (p50, p99).
    `shortfall`: what the source promised and did not give, None where whole. `resets`: how often a recurrent
    network was made to begin anew, None for any other. `rain`: what was seen of it, None where nobody looked.
    `engines`: how the engine changed.
    """

    frames: int
    held: int
    seconds: float
    stages: dict[str, StageTimes]
    latency: tuple[float, float]
    interval: tuple[float, float]
    shortfall: str | None = None
    resets: int | None = None
    rain: Rain | None = None
    engines: tuple[Change, ...] = ()

    @property
    def fps(self) -> float:
        """Frames a second over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended the run: `partials` are the files kept, playable; `report` tells how far it came."""

    def __init__(self, partials: Sequence[Path], report: Report) -> None:
        super().__init__("interrupted")
        self.partials = tuple(partials)
        self.report = report


@dataclass(frozen=True)
class _Decoded:
    frame: Frame
    at: float


@dataclass(frozen=True)
class _Started:
    """`spent`: seconds at work on it so far."""

    item: _Decoded
    ticket: Ticket
    spent: float


@dataclass(frozen=True)
class _Restored:
    frame: Frame
    pixels: Pixels
    at: float


def run(
    source: Source,
    restorer: Restore,
    outputs: Sequence[Output],
    *,
    expected: int | None = None,
    tell: Tell | None = None,
    forget: Forget | None = None,
    judge: Judge | None = None,
    relay: Changing | None = None,
    look: Look | None = None,
) -> Report:
    """Restores every frame of `source` into every one of `outputs` and publishes them.

    A `restorer` that is a Starter has as many frames in flight as it takes and as are there. `tell` is called
    in the calling thread about ten times a second. `forget`, of a restorer that remembers frames: called
    before one that does not follow those before it (see Continuity). `judge`, of one that says where rain is:
    is then reset too. `relay` is told of each frame before it is begun. `look`: what makes a thumbnail of
    pixels that are not on the host. The caller opens and closes source, restorer and sinks. On a failure
    anywhere nothing is published and DerainError is raised with the original error as its cause. Ctrl-C keeps
    what is written as partial files and raises Interrupted; a second one, while that goes on, discards them.
    No thread outlives the call.
    """
    return _Run(source, restorer, outputs, Metrics(expected), forget, judge, relay, look).go(tell)


class _Stage(threading.Thread):
    """A thread whose error, if any, ends the run.

    `ended` is waited for in place of `join`, which Ctrl-C leaves taking a running thread for a stopped one
    (CPython before 3.13).
    """

    def __init__(self, name: str, body: Callable[[], None], owner: "_Run") -> None:
        super().__init__(name=f"derain-{name}", daemon=True)
        self.ended = threading.Event()
        self._stage, self._body, self._owner = name, body, owner

    def run(self) -> None:
        with self:
            self._body()

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Hands any error to the run: a thread has no caller that would see it."""
        if error is not None and not isinstance(error, CancelledError):
            self._owner.fail(self._stage, error)
        self.ended.set()
        return True


class _Run:
    """One run: its threads, its channels, and the first failure."""

    def __init__(
        self,
        source: Source,
        restorer: Restore,
        outputs: Sequence[Output],
        metrics: Metrics,
        forget: Forget | None = None,
        judge: Judge | None = None,
        relay: Changing | None = None,
        look: Look | None = None,
    ) -> None:
        self._source, self._restorer, self._outputs, self._metrics = source, restorer, outputs, metrics
        self._starter = restorer if isinstance(restorer, Starter) else None
        self._forget, self._judge, self._relay = forget, judge, relay
        self._resets, self._begun, self._continuity = 0, 0, Continuity(look)
        self._decoded: Channel[_Decoded] = Channel(CAPACITY)
        self._restored: Channel[_Restored] = Channel(CAPACITY)
        self._failure: tuple[str, BaseException] | None = None
        self._failing = threading.Lock()
        self._running = self._keeping = self._whole = False
        self._partials: list[Path] = []
        bodies = (("decode", self._decode), ("restore", self._restore), ("encode", self._encode))
        self._stages = [_Stage(name, body, self) for name, body in bodies]
        self._started: list[_Stage] = []

    def go(self, tell: Tell | None) -> Report:
        """The calling thread's part: start, watch, and leave nothing behind."""
        try:
            self._start()
            self._watch(tell)
        except KeyboardInterrupt:
            self._interrupt()
        finally:
            self._leave()
        if self._failure is not None:
            self._raise(*self._failure)
        return self._report()

    def _start(self) -> None:
        """The last stage first: nothing happens before all are there to be called off."""
        for stage in reversed(self._stages):
            stage.start()
            self._started.append(stage)
        self._running = True

    def fail(self, stage: str, error: BaseException) -> None:
        """Ends the run with the first error that comes."""
        with self._failing:
            if self._failure is None:
                self._failure = (stage, error)
        self._cancel()

    def _cancel(self) -> None:
        self._decoded.cancel()
        self._restored.cancel()

    def _decode(self) -> None:
        meter = self._metrics.stages["decode"]
        for frame in meter.work.each(self._source):
            with meter.wait.measure():
                self._decoded.put(_Decoded(frame, time.perf_counter()))
        self._decoded.finish()

    def _restore(self) -> None:
        flying: deque[_Started] = deque()
        for item in self._metrics.stages["restore"].wait.each(self._decoded):
            flying.append(self._begin(item))
            # A frame of a live source does not wait for the next one to be decoded.
            while flying and (len(flying) >= self._in_flight or not self._decoded.waiting):
                self._hand_on(flying.popleft())
        while flying:
            self._hand_on(flying.popleft())
        self._restored.finish()

    @property
    def _in_flight(self) -> int:
        """How many frames may be in flight; an engine that takes another's place may take more or less."""
        return 1 if self._starter is None else self._starter.in_flight

    def _begin(self, item: _Decoded) -> _Started:
        began = time.perf_counter()
        if self._relay is not None:
            self._relay.before(self._begun)
        self._begun += 1
        self._follow(item.frame)
        pixels = item.frame.pixels
        ticket: Ticket = Landing(lambda: self._restorer(pixels))
        if self._starter is not None and self._starter.in_flight > 1:
            ticket = self._starter.start(pixels)
        return _Started(item, ticket, time.perf_counter() - began)

    def _hand_on(self, started: _Started) -> None:
        """Waits for a frame and passes it to the next stage."""
        meter = self._metrics.stages["restore"]
        began, item = time.perf_counter(), started.item
        pixels = started.ticket.wait()
        meter.work.record(started.spent + time.perf_counter() - began)
        with meter.wait.measure():
            self._restored.put(_Restored(item.frame, pixels, item.at))

    def _follow(self, frame: Frame) -> None:
        """Lets those who look at earlier frames know where `frame` does not follow them."""
        if (self._forget is None and self._judge is None) or not self._continuity.broken_at(frame):
            return
        if self._judge is not None:
            self._judge.reset()
        if self._forget is not None:
            self._forget()
            self._resets += 1

    def _encode(self) -> None:
        meter = self._metrics.stages["encode"]
        try:
            for item in meter.wait.each(self._restored):
                with meter.work.measure():
                    self._write(item)
                self._metrics.written(item.at)
        except CancelledError:
            if self._keeping:
                self._keep()
            raise
        self._publish()

    def _publish(self) -> None:
        """The main output, which is the first, gets its name last: where it is, all is whole."""
        if self._metrics.frames == 0:
            raise DerainError("the input gave no frames, so nothing was written")
        for output in reversed(self._outputs):
            output.sink.close()
        self._whole = True

    def _write(self, item: _Restored) -> None:
        for output in self._outputs:
            output.sink.write(replace(item.frame, pixels=output.compose(item.frame.pixels, item.pixels)))

    def _keep(self) -> None:
        for output in self._outputs:
            kept = output.sink.keep_partial()
            if kept is not None:
                self._partials.append(kept)

    def _watch(self, tell: Tell | None) -> None:
        """Waits for the last thread, or a failure, in short steps: on Windows Ctrl-C can't end a wait."""
        while self._running and self._failure is None and not self._stages[-1].ended.wait(POLL):
            if tell is not None:
                tell(self._metrics.snapshot(self._source.held, self._rain(), self._engines()))

    def _rain(self) -> Rain | None:
        return None if self._judge is None else self._judge.rain

    def _engines(self) -> tuple[Change, ...]:
        return () if self._relay is None else self._relay.changes

    def _interrupt(self) -> None:
        """Ctrl-C: keeps the partial files, or the whole ones where they are being published already."""
        try:
            self._keeping = self._running
            self._cancel()
            self._watch(None)
        except KeyboardInterrupt:
            self._keeping = False
            self._leave()
            self._forget_partials()
        if self._failure is None and not self._whole:
            raise Interrupted(self._partials, self._report())

    def _forget_partials(self) -> None:
        for partial in self._partials:
            partial.unlink(missing_ok=True)
        self._partials.clear()

    def _leave(self) -> None:
        """Calls everything off and waits until no thread is left; what is not published or kept goes away."""
        self._cancel()
        deadline = time.monotonic() + GRACE
        stuck = [stage for stage in self._started if not self._ends(stage, deadline)]
        for stage in stuck:
            log.warning("%s did not stop within %g seconds and is left behind", stage.name, GRACE)
        if self._stages[-1] not in stuck:
            for output in self._outputs:
                output.sink.discard()

    def _ends(self, stage: _Stage, deadline: float) -> bool:
        """Whether the thread is gone by `deadline`, whatever Ctrl-C says meanwhile."""
        while not stage.ended.is_set() and time.monotonic() < deadline:
            with suppress(KeyboardInterrupt):
                stage.ended.wait(deadline - time.monotonic())
        if stage.ended.is_set():
            stage.join()
        return stage.ended.is_set()

    def _raise(self, stage: str, error: BaseException) -> None:
        if isinstance(error, DerainError):
            raise error
        after = f"after {self._metrics.frames} frames written"
        raise DerainError(f"the {stage} stage failed {after}: {type(error).__name__}: {error}") from error

    def _report(self) -> Report:
        metrics = self._metrics
        return Report(
            frames=metrics.frames,
            held=self._source.held,
            seconds=metrics.seconds,
            stages=metrics.times(),
            latency=(metrics.latency.percentile(50), metrics.latency.percentile(99)),
            interval=(metrics.interval.percentile(50), metrics.interval.percentile(99)),
            shortfall=self._source.shortfall,
            resets=None if self._forget is None else self._resets,
            rain=self._rain(),
            engines=self._engines(),
        )
