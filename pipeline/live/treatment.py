"""What is done to the frames of one camera: which network restores them, at what scale, how strongly."""

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from derain.engines.engine import Pixels, Scores
from derain.engines.flight import Ticket
from derain.pipeline.bypass import Bypass, Watch
from derain.pipeline.live.guided import corrected, smaller
from derain.pipeline.live.together import Together
from derain.pipeline.metrics import Rain
from derain.pipeline.restore import Restorer, rgb_of
from derain.pipeline.shortage import Spare, no_spare


@dataclass(frozen=True)
class Treated:
    """What became of a frame; see Shown."""

    restored: Pixels
    attention: Scores | None = None
    rain: float | None = None


class Treatment:
    """Restores the frames of one camera, one after another, with an engine that cameras share.

    `scale`: of the frames that the network gets. `watch`: whether frames without rain skip it. `rate`: frames
    a second, as far as known. A recurrent network remembers until `reset`. One frame is begun at a time.
    """

    def __init__(
        self,
        engine: Together,
        watch: Watch,
        scale: float = 1.0,
        rate: Fraction | None = None,
        spare: Spare = no_spare,
    ) -> None:
        self.restorer = Restorer(engine, sequence=True, spare=spare)
        self.scale = scale
        self._bypass = Bypass(self.restorer, watch, rate) if engine.gives_scores else None

    def begin(self, pixels: Pixels, strength: float) -> "Begun":
        """Begins to restore `pixels` (H, W, 3) uint8, which stay as they are."""
        small = pixels if self.scale == 1 else smaller(pixels, self.scale)
        self.restorer.strength = strength if self.scale == 1 else 1.0
        starter = self._bypass or self.restorer
        passed = self._rain.bypassed
        return Begun(self, pixels, small, strength, starter.start(small), passed)

    def finish(self, begun: "Begun") -> Treated:
        """Waits for it."""
        given = begun.ticket.wait()
        rain, scores = self._rain, self.restorer.scores
        if rain.bypassed > begun.passed and scores is not None:
            scores = np.zeros_like(scores)  # of a frame before
        return Treated(self._whole(begun, given), scores, rain.score)

    def reset(self) -> None:
        """What comes next does not follow what came."""
        (self._bypass or self.restorer).reset()

    @property
    def _rain(self) -> Rain:
        return Rain() if self._bypass is None else self._bypass.rain

    def _whole(self, begun: "Begun", given: Pixels) -> Pixels:
        if self.scale == 1:
            return rgb_of(given)
        if given is begun.small:
            return begun.pixels
        return corrected(begun.pixels, begun.small, rgb_of(given), begun.strength)


@dataclass(frozen=True)
class Begun:
    """A frame that a treatment has begun. `small`: what the network got. `passed`: frames that had skipped it
    before."""

    treatment: Treatment
    pixels: Pixels
    small: Pixels
    strength: float
    ticket: Ticket
    passed: int


def in_eight_bits(pixels: Pixels) -> Pixels:
    """`pixels` (H, W, 3) as uint8, themselves where they are: what is live is shown in 8 bits."""
    if pixels.dtype == np.uint8:
        return pixels
    eight: Pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    return eight
