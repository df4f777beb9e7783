"""Rain-aware bypass: frames without rain skip the network and come out as they came in.

The network judges the frames that it runs on by its own scores, and is skipped once it has found SETTLE
frames dry, one after another. While it is skipped the glance looks at every frame; where it does not find one
dry, and every so often whatever it finds, the network runs and has the last word. The first frame that the
network does not find dry ends the stretch. Without a glance the network itself looks twice a second.
"""

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines import models
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import UsageError
from derain.engines.flight import Ticket
from derain.engines.modelfile import open_model
from derain.pipeline.bypass_tiles import DryTiles
from derain.pipeline.flying import Landing
from derain.pipeline.glance import Glance, Lessons, Levels, open_glance
from derain.pipeline.metrics import Rain
from derain.pipeline.rain import RainMeter, is_dry, score_of
from derain.pipeline.restore import Restorer, rgb_of

BypassChoice: TypeAlias = Literal["auto", "off"]

SETTLE = 12
"""So many frames in a row must be dry before the network is skipped: a wiper's stroke is no dry stretch."""
FADE = 6
"""Frames over which the network's picture gives way to the rainy one, and comes back."""
LOOK, CHECK = 0.5, 2.0
"""Seconds between two frames that the network looks at in a skipped stretch, without and with a glance."""
USUAL_RATE = 25

FAINT = 0.1
"""A cell of at least this score may have rain in it, which is not faded."""

Share: TypeAlias = npt.NDArray[np.float32]
"""Of a picture, (H, W), 0..1."""


@dataclass(frozen=True)
class Watch:
    """Who looks for rain. `active`: whether the network is skipped where there is none. `why`: in words."""

    active: bool
    glance: Glance | None
    why: str


def check_bypass(choice: BypassChoice) -> None:
    """Raises UsageError for a choice that there is not."""
    if choice not in ("auto", "off"):
        raise UsageError(f"the bypass is {choice!r}; it takes auto or off")


def looks_for_rain(model: str | Path) -> bool:
    """Whether a network has an attention map, by which it can tell; of "auto", whether the best one has."""
    return open_model(models.find(model)).attention


def open_watch(choice: BypassChoice, engine: Engine, options: EngineOptions, stack: ExitStack) -> Watch:
    """What `choice` means for frames that `engine` restores, opened with `options`; `stack` closes what it
    opens."""
    if choice == "off":
        return Watch(False, None, "")
    if not engine.card.attention:
        return Watch(False, None, f"{engine.card.name} has no attention map to see rain by")
    if not engine.gives_scores:
        return Watch(False, None, "nothing is taken out")
    glance = open_glance(options, stack)
    if glance is None:
        return Watch(True, None, f"no glance here: the network looks every {LOOK:g} s")
    return Watch(True, glance, "with the glance")


class Bypass:
    """Restores the frames of one source, one after another; a `Restorer` that skips where there is no rain.

    `restorer`: of a sequence, with an engine that gives scores. `watch`: where it is not active, only tells
    what the network sees. `rate`: frames a second, as far as known. `rain`: what was seen so far. One thread
    at a time calls it; any may read `rain`.
    """

    def __init__(self, restorer: Restorer, watch: Watch, rate: Fraction | None = None) -> None:
        self._restorer, self._glance, self._active = restorer, watch.glance, watch.active
        self._meter = RainMeter(restorer)
        self._every = max(1, round((rate or USUAL_RATE) * Fraction(LOOK if self._glance is None else CHECK)))
        self._lessons = None if self._glance is None else Lessons(self._glance)
        self._tiles = None if self._glance is None else DryTiles(self._glance, self._every)
        self._flying: deque[Ticket] = deque()
        self.reset()

    @property
    def rain(self) -> Rain:
        """What was seen so far."""
        return self._meter.rain

    def reset(self) -> None:
        """What comes next does not follow what came: it is judged anew, and a recurrent network forgets."""
        self._land()
        self._restorer.reset()
        self._dry = 0
        self._weight = 1.0
        self._unseen = 0
        if self._lessons is not None:
            self._lessons.forget()
        if self._tiles is not None:
            self._tiles.reset()

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restores `pixels` as the restorer does; gives themselves, not a copy, where they are left as they
        are and no attention map is to come with them."""
        self._land()
        if self._dry < SETTLE:
            return self._restored(pixels)
        self._unseen += 1
        if self._unseen < self._every and self._looks_dry(pixels):
            self._meter.passed()
            return self._untouched(pixels)
        return self._asked(pixels)

    @property
    def in_flight(self) -> int:
        """See Starter."""
        return self._restorer.in_flight

    def start(self, pixels: Pixels) -> Ticket:
        """Begins to restore `pixels`; what comes out is what a call gives.

        A frame goes ahead of what is said of those in flight where the network runs on it whatever that is.
        """
        while self._flying and self._dry + len(self._flying) >= SETTLE:
            self._flying[0].wait()
        plan = self._restorer.plan
        if plan is None or not plan.whole or self._dry >= SETTLE:
            out = self(pixels)
            return Landing(lambda: out)
        begun = self._restorer.start(pixels)
        ticket = Landing(partial(self._landed, pixels, begun))
        self._flying.append(ticket)
        return ticket

    def _land(self) -> None:
        """Waits for all frames in flight."""
        while self._flying:
            self._flying[0].wait()

    def _landed(self, pixels: Pixels, begun: Ticket) -> Pixels:
        """What a frame in flight, the first of them, comes out as."""
        self._flying.popleft()
        return self._judged(pixels, begun.wait())

    def _looks_dry(self, pixels: Pixels) -> bool:
        """What the glance says; True where there is none."""
        if self._glance is None or self._lessons is None:
            return True
        levels = levels_of(self._glance, pixels)
        self._meter.glanced(float(levels[0]))
        return bool(self._lessons.are_dry(levels).all())

    def _teach(self, pixels: Pixels) -> None:
        """Lets the glance know what the network has found dry."""
        if self._glance is not None and self._lessons is not None:
            self._lessons.learn(levels_of(self._glance, pixels))

    def _asked(self, pixels: Pixels) -> Pixels:
        """A frame of a skipped stretch that the network runs on, to say whether the stretch goes on."""
        if self._unseen > 1:
            self._restorer.reset()  # what it remembers is of before the stretch
        self._unseen = 0
        restored = self._restorer(pixels)
        if is_dry(self._meter.restored(), self._restorer.engine.card):
            self._teach(pixels)
            return self._untouched(pixels)
        self._dry, self._weight = 0, 0.0
        if self._lessons is not None:
            self._lessons.forget()
        if self._tiles is not None:
            self._tiles.reset()
        return self._faded(pixels, restored)

    def _restored(self, pixels: Pixels) -> Pixels:
        tiles = self._tiles
        return self._judged(pixels, self._restorer(pixels, dry=None if tiles is None else tiles.of(pixels)))

    def _judged(self, pixels: Pixels, restored: Pixels) -> Pixels:
        """What comes out of a frame that the network ran on, counted by what it saw in it."""
        dry = is_dry(self._meter.restored(), self._restorer.engine.card)
        if self._tiles is not None:
            self._tiles.heard(self._restorer)
        self._count(pixels, dry)
        return self._faded(pixels, restored)

    def _count(self, pixels: Pixels, dry: bool) -> None:
        """One more dry frame in a row, or none any more."""
        if dry and self._active:
            self._dry += 1
            self._teach(pixels)
        else:
            self._dry = 0
            if self._lessons is not None:
                self._lessons.forget()

    def _faded(self, pixels: Pixels, restored: Pixels) -> Pixels:
        """The frame as a stretch begins or ends; elsewhere as it was restored."""
        left = (SETTLE - self._dry) / FADE  # below 1 where the stretch is about to begin
        self._weight = min(self._weight + 1 / FADE, left, 1.0)
        if self._weight >= 1:
            return restored
        if self._weight <= 0:
            return self._untouched(pixels)
        return self._mixed(pixels, restored)

    def _untouched(self, pixels: Pixels) -> Pixels:
        """A frame as it came in."""
        return untouched(pixels, self._restorer.engine.channels)

    def _mixed(self, pixels: Pixels, restored: Pixels) -> Pixels:
        """A frame in the midst of a fade."""
        return faded(pixels, restored, self._weight, self._rain_at(pixels.shape[:2]))

    def _rain_at(self, size: tuple[int, ...]) -> Share:
        """Where the network saw rain in a frame of `size`, by pixel: 1 there, 0 elsewhere, smooth between."""
        scores, scale = self._restorer.scores, self._restorer.engine.card.attention_scale
        assert scores is not None, "the engine was opened with its scores"
        return enlarged((scores >= FAINT).astype(np.float32), scale, size)


def levels_of(glance: Glance, pixels: Pixels) -> Levels:
    """What a glance gives a frame: its score, and the mean of its map, which shows faint rain everywhere."""
    cells = glance(pixels)
    return np.array([score_of(cells, glance.scale), cells.mean()])


def untouched(pixels: Pixels, channels: int) -> Pixels:
    """`pixels` (H, W, 3) themselves, or with attention maps in which no rain is, (H, W, channels)."""
    if channels == 3:
        return pixels
    out = np.zeros((*pixels.shape[:2], channels), pixels.dtype)
    out[..., :3] = pixels
    return out


def faded(pixels: Pixels, restored: Pixels, weight: float, rain: Share) -> Pixels:
    """`restored` where there is `rain`, and elsewhere `weight` of it over `pixels`: no rain fades in or out.

    Pixels that the network leaves as they are stay exactly so.
    """
    share = np.maximum(rain, np.float32(weight))
    rainy = pixels.astype(np.float32)
    mixed = rainy + (rgb_of(restored) - rainy) * share[..., np.newaxis]
    out = restored.copy()
    out[..., :3] = np.rint(mixed)
    return out


def enlarged(cells: Share, scale: int, size: tuple[int, ...]) -> Share:
    """Cells (h, w) of `scale` pixels a side as large as the picture, `size`: everywhere within a cell is at
    least its value, and it falls off outside."""
    wide = cv2.dilate(cells, np.ones((3, 3), np.uint8))
    shape = (cells.shape[1] * scale, cells.shape[0] * scale)
    large = cv2.resize(wide, shape, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)[: size[0], : size[1]]
