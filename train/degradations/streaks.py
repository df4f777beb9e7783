"""Rain streaks: layers of depth that fall through the frames, drawn out by the exposure.

Pictures are display-referred RGB float32 in 0..1, and so is the blending, as in the published sets.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from derain.train.degradations.falling import Layer, light
from derain.train.degradations.rain import Map, Picture, Rainy, compared

__all__ = ["BLENDS", "Layer", "Streaks", "apply", "sample"]

BLENDS = ("additive", "screen", "over")
"""Light added to the scene; light that can't get brighter than white; streaks that cover the scene with their
own grey and so darken what is brighter than they are."""

AIRLIGHT = 0.75
"""Grey of rain haze in a bright scene."""

FAR = 480
"""Pictures whose shorter side is longer than this have streaks longer and wider in proportion."""


@dataclass(frozen=True)
class Streaks:
    """Parameters of one shower.

    `blend`: one of BLENDS; `level`: grey of streaks that cover (0..1, "over" only); `haze`: share of grey
    veil (0..1) at the top of the picture, where one looks farthest; `seed`: of the streaks' places;
    `exposure` in seconds, in which a streak falls by its length; `sway`: degrees by which the direction of
    the fall changes over the picture; `nearer`: share of the haze that is gone at the picture's bottom (0:
    the same all over).
    """

    layers: tuple[Layer, ...]
    blend: str
    level: float
    haze: float
    seed: int
    exposure: float = 1 / 60
    sway: float = 0.0
    nearer: float = 0.0


def bend(params: Streaks, height: int, width: int) -> Map:
    """Pixels to the right by which the direction field carries streaks, (H, W) float32.

    The direction is `sway` times a wave across the picture; this is its integral down the rows.
    """
    if params.sway == 0:
        return np.zeros((height, width), np.float32)
    rng = np.random.default_rng([params.seed, 0])
    down = 2 * math.pi / (max(height, width) * rng.uniform(0.8, 1.6))
    along = down * rng.uniform(-0.7, 0.7)
    phase = rng.uniform(0, 2 * math.pi)
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(down)
    x = np.arange(width, dtype=np.float32)[None] * np.float32(along) + np.float32(phase)
    return np.asarray(np.sin(x + y) * np.float32(math.tan(math.radians(params.sway)) / down), np.float32)


def lit(clean: Picture) -> float:
    """How bright rain is in a scene, 0.15..1: it shines by the scene's own light, and at night hardly."""
    return float(np.clip(3.0 * clean.mean(), 0.15, 1.0))


def apply(clean: Picture, params: Streaks, time: float = 0.0) -> Rainy:
    """Rain at `time` seconds over `clean` (H, W, 3) in 0..1: the streaks of time 0, each fallen on."""
    height, width = clean.shape[:2]
    field, exposures = bend(params, height, width), time / params.exposure
    falling = np.zeros((height, width), np.float32)
    for number, layer in enumerate(params.layers):
        falling += light(layer, [params.seed, number + 1], exposures, field)
    shine = np.float32(lit(clean))
    image = blended(clean, np.minimum(falling, np.float32(1))[..., None], params, shine)
    if params.haze:
        veil = haze(params, height)
        image = image + veil * (np.float32(AIRLIGHT) * shine - image)
    return compared(image, clean)


def blended(clean: Picture, falling: Map, params: Streaks, shine: np.float32) -> Picture:
    """`falling` (H, W, 1) in 0..1 on `clean`, in a scene where rain is as bright as `shine` (0..1)."""
    if params.blend == "additive":
        return clean + falling * shine
    if params.blend == "screen":
        return clean + falling * shine * (1 - clean)
    if params.blend == "over":
        return clean + falling * (np.float32(params.level) * shine - clean)
    raise ValueError(f"no blend {params.blend!r}; there is {', '.join(BLENDS)}")


def haze(params: Streaks, height: int) -> Map:
    """Share of grey veil in each row, (H, 1, 1) float32."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.float32(params.haze) * (1 - np.float32(params.nearer) * down)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A positive number, its logarithm even between theirs."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def sample_layer(rng: np.random.Generator, angle: float, heavy: float, scale: float = 1.0) -> Layer:
    """One layer near `angle`; `heavy` in 0..1 goes from sparse and faint to dense and bright."""
    return Layer(
        angle=angle + rng.normal(0, 3),
        length=scale * between(rng, 8, 70),
        width=scale * between(rng, 0.5, 2.6),
        coverage=between(rng, 0.015, 0.14) * (1 + 4 * heavy),
        brightness=rng.uniform(0.10, 0.60) + 0.4 * heavy * rng.uniform(),
        taper=rng.uniform(0.02, 0.4),
        flatness=rng.uniform(2, 6) if rng.uniform() < 0.4 else 2.0,
        jitter=rng.uniform(0, 3),
        variety=rng.uniform(0, 0.4),
        spread=rng.uniform(0.1, 1.5),
    )


def mixed(rng: np.random.Generator, scale: float) -> Streaks:
    """From a drizzle to Rain100H-like density, of any blend."""
    heavy = rng.uniform() if rng.uniform() < 0.5 else 0.0
    angle = float(np.clip(rng.normal(0, 18), -50, 50))
    return Streaks(
        layers=tuple(sample_layer(rng, angle, heavy, scale) for _ in range(rng.integers(1, 4))),
        blend=str(rng.choice(BLENDS, p=(0.5, 0.25, 0.25))),
        level=rng.uniform(0.55, 1.0),
        haze=rng.uniform(0, 0.12 + 0.2 * heavy) if rng.uniform() < 0.3 else 0.0,
        seed=int(rng.integers(2**32)),
        exposure=between(rng, 1 / 200, 1 / 30),
        sway=rng.uniform(0, 6) if rng.uniform() < 0.5 else 0.0,
        nearer=rng.uniform(0, 1),
    )


def rain100l(rng: np.random.Generator, scale: float) -> Streaks:
    """Sparse: one direction, long and short streaks of very different brightness, added."""
    angle = float(np.clip(rng.normal(0, 9), -25, 25))
    strong = rng.uniform()
    long = Layer(
        angle=angle,
        length=scale * rng.uniform(28, 60),
        width=scale * rng.uniform(1.1, 1.9),
        coverage=rng.uniform(0.07, 0.14),
        brightness=0.26 + 0.38 * strong,
        taper=rng.uniform(0.5, 1),
        jitter=1.0,
        variety=0.35,
        spread=2.0,
    )
    short = replace(
        long,
        length=scale * rng.uniform(10, 24),
        width=scale * rng.uniform(0.9, 1.5),
        coverage=rng.uniform(0.03, 0.10),
        brightness=0.12 + 0.30 * strong,
    )
    return added(rng, (long, short))


def rain100h(rng: np.random.Generator, scale: float) -> Streaks:
    """Dense: a thick curtain of blurred noise, mostly steep, and sharp lines in up to two more directions."""
    angle = float(rng.choice((-16, -8, 0, 8, 16))) + rng.normal(0, 2)
    heavy = rng.uniform() ** 0.7
    curtain = Layer(
        angle=angle,
        length=scale * rng.uniform(35, 70),
        width=scale * rng.uniform(1.2, 2.2),
        coverage=0.10 + 0.9 * heavy,
        brightness=0.28 + 0.42 * heavy,
        taper=rng.uniform(0.2, 0.7),
        flatness=rng.uniform(2, 5),
        jitter=0.7,
        variety=0.25,
        spread=rng.uniform(0.5, 1.2),
    )
    lines = tuple(
        Layer(
            angle=angle + rng.uniform(-40, 40),
            length=scale * rng.uniform(30, 70),
            width=scale * rng.uniform(0.8, 1.4),
            coverage=rng.uniform(0.01, 0.06),
            brightness=rng.uniform(0.2, 0.5),
            taper=0.1,
            jitter=0.5,
            spread=1.0,
        )
        for _ in range(rng.integers(0, 3))
    )
    return added(rng, (curtain, *lines))


def strokes(rng: np.random.Generator, scale: float) -> Streaks:
    """Short strokes of one grey, all alike and hardly seen through, as overlays draw rain."""
    layer = Layer(
        angle=rng.normal(0, 6),
        length=scale * between(rng, 8, 40),
        width=scale * rng.uniform(1, 2.6),
        coverage=between(rng, 0.01, 0.2),
        brightness=rng.uniform(0.08, 0.4),
        taper=rng.uniform(0.02, 0.2),
        flatness=rng.uniform(4, 8),
        jitter=rng.uniform(0, 1),
        variety=rng.uniform(0, 0.3),
        spread=rng.uniform(0, 0.5),
    )
    blend = str(rng.choice(BLENDS, p=(0.2, 0.2, 0.6)))
    return replace(added(rng, (layer,), blend), level=rng.uniform(0.6, 1.0))


def noise_rain(
    rng: np.random.Generator, scale: float, coverage: tuple[float, float], brightness: tuple[float, float]
) -> Streaks:
    """Rain as an image editor makes it: noise, blurred along one of many directions, screened."""
    layer = Layer(
        angle=float(rng.choice(np.linspace(-40, 40, 14))) + rng.normal(0, 1),
        length=scale * between(rng, 20, 60),
        width=scale * rng.uniform(1.3, 2.3),
        coverage=rng.uniform(*coverage),
        brightness=rng.uniform(*brightness),
        taper=rng.uniform(0.5, 1),
        jitter=rng.uniform(0, 1.5),
        variety=rng.uniform(0, 0.3),
        spread=rng.uniform(0.5, 1.5),
    )
    return added(rng, (layer,), "screen")


def added(rng: np.random.Generator, layers: tuple[Layer, ...], blend: str = "additive") -> Streaks:
    """A shower without haze or sway, as in the published sets."""
    return Streaks(layers, blend, 1.0, 0.0, int(rng.integers(2**32)), between(rng, 1 / 120, 1 / 30))


@dataclass(frozen=True)
class Style:
    """`name`, one line of `help`, and `draw(rng, scale)`, with lengths and widths times `scale`."""

    name: str
    help: str
    draw: Callable[[np.random.Generator, float], Streaks]


STYLES: tuple[Style, ...] = (
    Style("mixed", "Streaks of any density, direction and blend, with haze now and then.", mixed),
    Style("rain100l", "Sparse thin streaks in one direction, like Rain100L.", rain100l),
    Style("rain100h", "Dense bright streaks in several directions, like Rain100H.", rain100h),
    Style("strokes", "Short strokes of one grey, as overlays draw rain.", strokes),
    Style(
        "rain1400",
        "Blurred noise in one of fourteen directions, like Rain1400.",
        lambda rng, scale: noise_rain(rng, scale, (0.15, 0.6), (0.25, 0.5)),
    ),
    Style(
        "did-light",
        "Light rain, like DID-MDN's first set.",
        lambda rng, scale: noise_rain(rng, scale, (0.2, 0.5), (0.3, 0.45)),
    ),
    Style(
        "did-medium",
        "Medium rain, like DID-MDN's second set.",
        lambda rng, scale: noise_rain(rng, scale, (0.4, 0.7), (0.33, 0.48)),
    ),
    Style(
        "did-heavy",
        "Heavy rain, like DID-MDN's third set.",
        lambda rng, scale: noise_rain(rng, scale, (0.6, 1.0), (0.36, 0.5)),
    ),
)


def sample(
    rng: np.random.Generator, height: int, width: int, style: str = "mixed", scale: float = 1.0
) -> Streaks:
    """Draws a shower of one of STYLES for pictures of that size, lengths and widths times `scale`."""
    size = max(1.0, min(height, width) / FAR) * scale
    for one in STYLES:
        if one.name == style:
            return one.draw(rng, size)
    raise ValueError(f"no style {style!r}; there is {', '.join(s.name for s in STYLES)}")
