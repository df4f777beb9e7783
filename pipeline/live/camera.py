"""One camera of a run: its newest frame, what is done to its frames, and what is counted of them."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from derain.engines.errors import UsageError
from derain.pipeline.continuity import Thumbnail, is_cut, thumbnail
from derain.pipeline.frame import Frame
from derain.pipeline.live.contract import Step
from derain.pipeline.live.figures import Clock, Meter
from derain.pipeline.live.seam import CameraFigures, LiveSource, Shown, Taken
from derain.pipeline.live.slots import Policy, Slot
from derain.pipeline.live.treatment import Begun, Treated, Treatment, in_eight_bits
from derain.pipeline.restore import check_strength

GAP = 0.5
"""Seconds without a frame behind which nothing follows what was before."""

MakeTreatment = Callable[[Step, Fraction | None], Treatment]
"""For a step of the contract and a rate, None where nobody tells."""


class Joins:
    """Says which frames do not follow those before, of frames that were taken out of a stream: some are
    missing, which is no gap by itself."""

    def __init__(self) -> None:
        self._before: Taken | None = None
        self._thumbnail: Thumbnail | None = None
        self._difference = 0.0

    def broken_at(self, taken: Taken) -> bool:
        """Whether it begins something new: another connection, a gap, a cut, or the end of damage."""
        before, self._before = self._before, taken
        cut = self._cut(taken.frame)  # looks at every frame
        return before is not None and (
            before.epoch != taken.epoch
            or before.frame.pixels.shape != taken.frame.pixels.shape
            or taken.arrived - before.arrived > GAP
            or (before.frame.held and not taken.frame.held)
            or cut
        )

    def _cut(self, frame: Frame) -> bool:
        before, self._thumbnail = self._thumbnail, thumbnail(frame.pixels)
        if before is None:
            return False
        last, self._difference = self._difference, float(abs(self._thumbnail - before).mean())
        return is_cut(self._difference, last)


class Camera:
    """`source` and all that a run keeps of it. Its thread calls `give`, one other `take`, `begin` and
    `finish`, any the rest.

    `served`: when it last had its turn, as the scheduler counts. `make`: is set before any frame is begun.
    """

    make: MakeTreatment

    def __init__(
        self,
        source: LiveSource,
        news: threading.Condition,
        *,
        policy: Policy = "live",
        budget: float | None = None,
        strength: float = 1.0,
        clock: Clock = time.monotonic,
    ) -> None:
        check_strength(strength)
        self.source, self.name = source, source.name
        self.slot = Slot(news, policy)
        self.meter = Meter(budget, clock)
        self.strength = strength
        self.step = Step()
        self.served = 0
        self.rain: float | None = None
        self._joins = Joins()
        self._treatment: Treatment | None = None
        self._count = 0

    def give(self, taken: Taken) -> None:
        """See LiveSource.start."""
        self.meter.given()
        self._count += 1
        if self._count % self.step.every or self.slot.put(taken) is not None:
            self.meter.dropped()

    def move(self, step: Step) -> None:
        """From now on frames are treated so."""
        old, self.step = self.step, step
        if (old.model, old.scale) != (step.model, step.scale):
            self._treatment = None

    @property
    def treatment(self) -> Treatment:
        """What is done now."""
        if self._treatment is None:
            info = self.source.info
            self._treatment = self.make(self.step, None if info is None else info.average_rate)
        return self._treatment

    def begin(self, taken: Taken) -> "Begun | Treated":
        """Begins to restore what `give` let in; `Treated` where there is nothing to wait for."""
        broken = self._joins.broken_at(taken)
        if self.step.passes:
            return Treated(taken.frame.pixels, None, None)
        if broken:
            self.treatment.reset()
        return self.treatment.begin(taken.frame.pixels, self.strength)

    def finish(self, taken: Taken, begun: "Begun | Treated", now: Clock) -> Shown:
        """The frame with what was made of it, ready to be handed over `now`."""
        treated = begun if isinstance(begun, Treated) else begun.treatment.finish(begun)
        self.rain = treated.rain
        return Shown(
            camera=self.name,
            taken=taken,
            restored=treated.restored,
            attention=treated.attention,
            rain=treated.rain,
            handed=now(),
            steps=self.step.words,
        )

    def take(self) -> Taken | None:
        """Its newest frame, in 8 bits."""
        taken = self.slot.take()
        if taken is None:
            return None
        pixels = in_eight_bits(taken.frame.pixels)
        if pixels is taken.frame.pixels:
            return taken
        return replace(taken, frame=replace(taken.frame, pixels=pixels))

    def set_strength(self, strength: float) -> None:
        """See Control."""
        check_strength(strength)
        self.strength = strength

    def figures(self) -> CameraFigures:
        """This camera now."""
        counted, counts, info = self.meter.counted(), self.source.counts, self.source.info
        return CameraFigures(
            name=self.name,
            shown=self.source.shown,
            state=self.source.state,
            said=self.source.said,
            width=0 if info is None else info.width,
            height=0 if info is None else info.height,
            camera_fps=counted.camera_fps,
            restored_fps=counted.restored_fps,
            decoded=counts.decoded,
            restored=counted.restored,
            dropped=counted.dropped,
            late=counted.late,
            passed=counted.passed,
            held=counts.held,
            reconnects=counts.reconnects,
            latency=counted.latency,
            stages=counted.stages,
            histograms=counted.histograms,
            rain=self.rain,
            steps=self.step.words,
            strength=self.strength,
        )


def find(cameras: dict[str, Camera], name: str) -> Camera:
    """The camera of that name; raises UsageError where there is none."""
    if name not in cameras:
        known = ", ".join(cameras) or "none"
        raise UsageError(f"there is no camera {name!r}; there are: {known}")
    return cameras[name]
