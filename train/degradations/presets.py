"""Rain by name: what `derain synthesize --rain NAME` and the benchmarks make."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from derain.engines.errors import UsageError
from derain.train.degradations import dirt, jrsrd, mixture, raindrops, scratches, snow, streaks
from derain.train.degradations.compose import Shot


@dataclass(frozen=True)
class Preset:
    """`name`, one line of `help`, and `sample(rng, height, width)`, which draws a shot for that size."""

    name: str
    help: str
    sample: Callable[[np.random.Generator, int, int], Shot]


def streaks_of(style: str) -> Callable[[np.random.Generator, int, int], Shot]:
    """Draws showers of one style."""
    return lambda rng, height, width: Shot((streaks.sample(rng, height, width, style),))


def drops_of(style: str) -> Callable[[np.random.Generator, int, int], Shot]:
    """Draws wet lenses of one style."""
    return lambda rng, height, width: Shot((raindrops.sample(rng, height, width, style),))


PRESETS: tuple[Preset, ...] = (
    *(
        Preset(style.name, style.help, streaks_of(style.name))
        for style in streaks.STYLES
        if style.name != "mixed"
    ),
    Preset("raindrops", "Dense drops on the lens, as on a wet window.", drops_of("dense")),
    Preset("raindrops-soft", "Dense drops far out of focus: soft discs.", drops_of("soft")),
    Preset(
        "dirt",
        "Specks, smears, dried drops and fingerprints on the glass, out of focus.",
        lambda rng, height, width: Shot((dirt.sample(rng, height, width),)),
    ),
    Preset(
        "snow",
        "Short white segments that sink and drift.",
        lambda rng, height, width: Shot((snow.sample(rng, height, width),)),
    ),
    Preset(
        "scratches",
        "Random cubic splines scratched into the pane.",
        lambda rng, height, width: Shot((scratches.sample(rng, height, width),)),
    ),
    Preset(
        "jrsrd",
        "Drops first, then streaks of blurred noise at one of four intensities, as in JRSRD.",
        lambda rng, height, width: Shot(
            (raindrops.sample(rng, height, width), jrsrd.sample(rng, height, width))
        ),
    ),
    Preset("joint", "Drops first, then streaks, through a camera and its codec.", mixture.joint),
    Preset("night", "A dark scene with lamps, in streaks, drops or both, through a camera.", mixture.night),
)


def preset(name: str) -> Preset:
    """The preset of that name; UsageError lists those there are."""
    for one in PRESETS:
        if one.name == name:
            return one
    raise UsageError(f"no rain {name!r}; there is {', '.join(p.name for p in PRESETS)}")
