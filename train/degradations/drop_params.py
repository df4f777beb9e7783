"""What a wet lens is made of: plain numbers, from which the same pixels come at any time."""

import math
from dataclasses import dataclass

from derain.engines.errors import UsageError


def held(name: str, value: float, low: float, high: float) -> None:
    """Raises UsageError for a value that is not from `low` to `high`, or is no number."""
    if not low <= value <= high:
        raise UsageError(f"{name} of raindrops is from {low:g} to {high:g}, not {value:g}")


@dataclass(frozen=True)
class Lobe:
    """A circle merged into a drop; centre and radius in units of the drop's radius."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Slide:
    """How a drop runs down: from `start` in seconds, it rests for `pause` seconds, then runs for `run`
    seconds at `speed` pixels a second, and so on; `sway` pixels to the sides every `wave` pixels of its way.
    Droplets that it leaves behind dry within `drying` seconds."""

    start: float
    speed: float
    pause: float
    run: float
    sway: float = 0.0
    wave: float = 80.0
    drying: float = 4.0

    def __post_init__(self) -> None:
        held("a slide's speed", self.speed, 1e-3, 1e5)
        held("a slide's pause", self.pause, 0, 1e6)
        held("a slide's run", self.run, 1e-3, 1e6)
        held("a slide's wave", self.wave, 1e-3, 1e6)
        held("a slide's drying", self.drying, 1e-3, 1e6)


@dataclass(frozen=True)
class Drop:
    """A cap of water. Centre (`x`, `y`), `radius` in pixels; `stretch` its height over its width, squared,
    with `angle` in radians turning it; `contact`: angle in degrees (5..85) at which the surface meets the
    glass; `lobes` merged into it. It arrives at `born` and evaporates within `life` seconds."""

    x: float
    y: float
    radius: float
    contact: float = 40.0
    stretch: float = 1.0
    angle: float = 0.0
    lobes: tuple[Lobe, ...] = ()
    born: float = -math.inf
    life: float = math.inf
    slide: Slide | None = None

    def __post_init__(self) -> None:
        held("a drop's radius", self.radius, 0.1, 2000)
        held("a drop's contact", self.contact, 5, 85)
        held("a drop's stretch", self.stretch, 0.1, 10)
        held("a drop's life", self.life, 1e-3, math.inf)


@dataclass(frozen=True)
class Mist:
    """`count` small drops anywhere on the picture and `margin` pixels around it: median `radius` in pixels,
    spread by exp(N(0, `spread`)), with `contact` angle in degrees; their places follow from `seed`."""

    count: int
    radius: float
    spread: float
    contact: float
    margin: float
    seed: int

    def __post_init__(self) -> None:
        held("mist's count", self.count, 0, 1e6)
        held("mist's radius", self.radius, 0.1, 100)
        held("mist's spread", self.spread, 0, 1)
        held("mist's contact", self.contact, 5, 85)


@dataclass(frozen=True)
class Wiper:
    """A blade that turns about (`x`, `y`) in pixels, `length` pixels long. First at `first`, then every
    `period` seconds, it goes from angle `begin` to `end` (radians, 0 to the right, clockwise as the picture
    shows it) in `sweep` seconds and back in as many. Behind it the glass is clear; until the next wipe, new
    drops like the old ones arrive at places that follow from `seed`."""

    first: float
    period: float
    sweep: float
    x: float
    y: float
    length: float
    begin: float
    end: float
    seed: int

    def __post_init__(self) -> None:
        held("a wiper's sweep", self.sweep, 1e-3, 1e6)
        held("a wiper's period", self.period, 2 * self.sweep, 1e9)


@dataclass(frozen=True)
class Raindrops:
    """Everything on one lens or pane, and how it is seen.

    `defocus`: radius in pixels of the disc into which the lens blurs a point of the glass, 0 for sharp;
    `view`: focal length in widths of the picture: the shorter, the less of the scene a drop gathers; `sky`:
    level (0..1) of the light above the picture's top in a day's scene, `tint` its colour, from -1 (warm) to 1
    (blue); `glow`: share of that light which every part of a drop scatters; `rim`: how dark drops are where
    no light passes, 0..1; `clear`: share of the light behind a drop that reaches the lens straight, 0..1, for
    drops that are thin films.
    """

    drops: tuple[Drop, ...]
    mist: Mist | None = None
    wiper: Wiper | None = None
    defocus: float = 0.0
    view: float = 1.0
    sky: float = 0.9
    tint: float = 0.2
    glow: float = 0.0
    rim: float = 0.6
    clear: float = 0.0

    def __post_init__(self) -> None:
        held("the defocus", self.defocus, 0, 500)
        held("the view", self.view, 0.01, 100)
