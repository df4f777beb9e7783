"""Wet lenses drawn at random: a broad mixture to train on, and the styles of the presets."""

import math
from dataclasses import dataclass

import numpy as np

from derain.engines.errors import UsageError
from derain.train.degradations.drop_params import Drop, Lobe, Mist, Raindrops, Slide, Wiper

SMALL = 4.5
"""Drops of smaller radius, in pixels, come as mist."""


@dataclass(frozen=True)
class Style:
    """`name`, its `share` in the training mixture, and ranges to draw from, (low, high); those named * evenly
    in their logarithm. `radius`* of a middling drop and `spread` of its logarithm; `coverage`* share of the
    glass under water; `contact` in degrees; `defocus`* in pixels; `view`* in widths; `sky` level; `glow` and
    `clear` share; `small`: mist's share of the coverage; `sliding`: chance that a drop slides, `lobed`: that
    it has lobes; `wiped`: chance of a wiper."""

    name: str
    share: float
    radius: tuple[float, float]
    spread: tuple[float, float]
    coverage: tuple[float, float]
    contact: tuple[float, float]
    defocus: tuple[float, float]
    view: tuple[float, float]
    sky: tuple[float, float]
    glow: tuple[float, float]
    clear: tuple[float, float]
    small: tuple[float, float]
    sliding: float
    lobed: float
    wiped: float


STYLES: tuple[Style, ...] = (
    Style(
        "dense",
        0.35,
        radius=(7, 12),
        spread=(0.3, 0.45),
        coverage=(0.22, 0.36),
        contact=(32, 52),
        defocus=(3, 8),
        view=(2, 4),
        sky=(0.85, 1.0),
        glow=(0.05, 0.3),
        clear=(0, 0.1),
        small=(0.15, 0.4),
        sliding=0.02,
        lobed=0.3,
        wiped=0.2,
    ),
    Style(
        "soft",
        0.30,
        radius=(7, 13),
        spread=(0.3, 0.45),
        coverage=(0.2, 0.34),
        contact=(30, 50),
        defocus=(8, 16),
        view=(2, 4),
        sky=(0.85, 1.0),
        glow=(0.05, 0.3),
        clear=(0, 0.1),
        small=(0.05, 0.2),
        sliding=0.01,
        lobed=0.3,
        wiped=0.1,
    ),
    Style(
        "any",
        0.35,
        radius=(2, 35),
        spread=(0.1, 0.6),
        coverage=(0.05, 0.6),
        contact=(18, 60),
        defocus=(0.3, 18),
        view=(1, 4),
        sky=(0.45, 1.0),
        glow=(0, 0.4),
        clear=(0, 0.5),
        small=(0, 0.5),
        sliding=0.05,
        lobed=0.4,
        wiped=0.1,
    ),
)


def evenly(rng: np.random.Generator, low: float, high: float) -> float:
    """Between `low` and `high`, evenly in the logarithm."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def sample(
    rng: np.random.Generator, height: int, width: int, style: str | None = None, scale: float = 1.0
) -> Raindrops:
    """Draws a wet lens for a picture of that size, of one style or, for None, of any: the training mixture.

    Sizes are in pixels of pictures up to 480 lines, and grow with larger ones; `scale` times that. Raises
    UsageError for a style that STYLES does not name.
    """
    if style is None:
        ranges = STYLES[int(rng.choice(len(STYLES), p=[one.share for one in STYLES]))]
    else:
        ranges = style_of(style)
    return draw(rng, height, width, ranges, scale)


def style_of(name: str) -> Style:
    """The style of that name; UsageError lists those there are."""
    for style in STYLES:
        if style.name == name:
            return style
    raise UsageError(f"no style of drops {name!r}; there is {', '.join(one.name for one in STYLES)}")


def draw(rng: np.random.Generator, height: int, width: int, style: Style, scale: float = 1.0) -> Raindrops:
    """A lens within the ranges of `style`, all sizes times `scale`."""
    size = max(1.0, min(height, width) / 480) * scale
    radius = evenly(rng, *style.radius) * size
    spread = rng.uniform(*style.spread)
    coverage = evenly(rng, *style.coverage)
    contact = rng.uniform(*style.contact)
    defocus = evenly(rng, *style.defocus) * size
    fine = rng.uniform(*style.small) if radius > SMALL * size else 1.0
    return Raindrops(
        drops=large_drops(rng, height, width, (radius, spread, coverage * (1 - fine), contact), style),
        mist=mist(rng, height, width, (min(radius * 0.5, SMALL * size), coverage * fine, contact)),
        wiper=wiper(rng, height, width) if rng.uniform() < style.wiped else None,
        defocus=defocus,
        view=evenly(rng, *style.view),
        sky=rng.uniform(*style.sky),
        tint=rng.uniform(-0.5, 1.0),
        glow=rng.uniform(*style.glow),
        rim=rng.uniform(0.2, 0.9),
        clear=rng.uniform(*style.clear) if rng.uniform() < 0.5 else style.clear[0],
    )


def large_drops(
    rng: np.random.Generator,
    height: int,
    width: int,
    amount: tuple[float, float, float, float],
    style: Style,
) -> tuple[Drop, ...]:
    """Drops of `amount` (radius, spread, coverage, contact), around the picture too."""
    radius, spread, coverage, contact = amount
    area = (height + 2 * radius) * (width + 2 * radius)
    each = math.pi * radius**2 * math.exp(2 * spread**2)
    count = int(rng.poisson(-math.log1p(-min(coverage, 0.95)) * area / each))
    return tuple(
        sample_drop(rng, height, width, radius * math.exp(rng.normal(0, spread)), contact, style)
        for _ in range(min(count, 3000))
    )


def sample_drop(
    rng: np.random.Generator, height: int, width: int, radius: float, contact: float, style: Style
) -> Drop:
    """One drop anywhere on the picture or near it, about round and a little taller than wide."""
    lobes: tuple[Lobe, ...] = ()
    if rng.uniform() < style.lobed:
        lobes = tuple(lobe(rng) for _ in range(int(rng.integers(1, 4))))
    slides = rng.uniform() < style.sliding
    return Drop(
        x=rng.uniform(-radius, width + radius),
        y=rng.uniform(-radius, height + radius),
        radius=radius,
        contact=float(np.clip(contact + rng.normal(0, 4), 8, 80)),
        stretch=math.exp(rng.normal(0.08, 0.12)),
        angle=rng.normal(0, 0.5),
        lobes=(*lobes, Lobe(0.0, -0.6, 0.75)) if slides else lobes,
        life=rng.uniform(20, 200) if rng.uniform() < 0.3 else math.inf,
        slide=sample_slide(rng, radius) if slides else None,
    )


def lobe(rng: np.random.Generator) -> Lobe:
    angle, away = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 0.9)
    return Lobe(away * math.cos(angle), away * math.sin(angle), rng.uniform(0.4, 0.85))


def sample_slide(rng: np.random.Generator, radius: float) -> Slide:
    """Half of the sliding drops are on their way at time 0; larger ones are faster."""
    return Slide(
        start=rng.uniform(-6, 6),
        speed=radius * evenly(rng, 1.5, 10),
        pause=evenly(rng, 0.1, 2),
        run=evenly(rng, 0.2, 2),
        sway=rng.uniform(0, 0.6) * radius,
        wave=rng.uniform(8, 20) * radius,
        drying=evenly(rng, 2, 20),
    )


def mist(
    rng: np.random.Generator, height: int, width: int, amount: tuple[float, float, float]
) -> Mist | None:
    """Small drops of `amount` (radius, coverage, contact)."""
    radius, coverage, contact = amount
    spread = rng.uniform(0.2, 0.5)
    margin = 3 * radius
    area = (height + 2 * margin) * (width + 2 * margin)
    each = math.pi * radius**2 * math.exp(2 * spread**2)
    count = int(rng.poisson(-math.log1p(-min(coverage, 0.95)) * area / each))
    if count == 0:
        return None
    return Mist(count, radius, spread, contact, margin, seed=int(rng.integers(2**32)))


def wiper(rng: np.random.Generator, height: int, width: int) -> Wiper:
    """A blade below the picture that sweeps most of it."""
    period = rng.uniform(1.5, 8)
    right = rng.uniform() < 0.5
    return Wiper(
        first=rng.uniform(0.5, period),
        period=period,
        sweep=min(rng.uniform(0.4, 1.0), period / 2),
        x=width * rng.uniform(0.2, 0.8),
        y=height * rng.uniform(1.05, 1.4),
        length=math.hypot(height, width) * rng.uniform(0.9, 1.3),
        begin=0.0 if right else -math.pi,
        end=-math.pi if right else 0.0,
        seed=int(rng.integers(2**32)),
    )
