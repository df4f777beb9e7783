"""The mixture the shipped networks train on: a scene by day or night, rain of a kind, a camera and its codec.

Real rain reaches us through a lens, a sensor and a codec, so the made one does too. All of it is a shot.
"""

from collections.abc import Mapping

import numpy as np

from derain.train.degradations import camera, raindrops, streaks
from derain.train.degradations.compose import Shot, kind_named

RAIN: dict[str, tuple[str, ...]] = {
    "streaks": ("streaks",),
    "drops": ("raindrops",),
    "joint": ("raindrops", "streaks"),
    "dry": (),
    "dirt": ("dirt",),
    "snow": ("snow",),
    "scratches": ("scratches",),
}
"""The kinds of rain behind each share of a recipe. Where both fall, drops come first and streaks after, as in
JRSRD (DAiAM 2021)."""

NEEDED = ("streaks", "drops", "joint", "dry")
"""The shares every recipe names; the others are 0 where they are not named."""

NIGHT = 0.25
"""The share of scenes at night."""

LARGE, LARGEST = 0.35, 2.5
"""The share of pictures whose drops and streaks are larger than those of 480 lines, up to so many times, as
frames of 1080 lines have them: patches are cut from smaller photographs."""

STROKES = 0.12
"""The share of showers that are an overlay's strokes."""

LENS = (("defocus", 0.1), ("motion-blur", 0.08), ("exposure", 0.15), ("sharpening", 0.3), ("noise", 0.33))
"""(kind, its chance) of what lens and sensor do, in this order."""

CODEC = (("jpeg", 0.25), ("h264", 0.12))
"""(kind, its chance) of the one codec there may be."""

NO_CODEC = 1 - sum(chance for _, chance in CODEC)

Steps = tuple[object, ...]


def sample(rng: np.random.Generator, height: int, width: int, shares: Mapping[str, float]) -> Shot:
    """Draws a shot whose rain is of a kind drawn by `shares`, which sum to 1."""
    night = rng.uniform() < NIGHT
    scene: Steps = (camera.sample_night(rng, height, width),) if night else ()
    kind = drawn(rng, shares)
    scale = rng.uniform(1, LARGEST) if rng.uniform() < LARGE else 1.0
    fallen = tuple(falling(rng, height, width, name, scale) for name in RAIN[kind])
    return Shot(scene + fallen + seen(rng, height, width))


def falling(rng: np.random.Generator, height: int, width: int, name: str, scale: float) -> object:
    """Draws one kind of rain; drops and streaks are `scale` times as large as they are at that size."""
    if name == "raindrops":
        return raindrops.sample(rng, height, width, scale=scale)
    if name == "streaks":
        style = "strokes" if rng.uniform() < STROKES else "mixed"
        return streaks.sample(rng, height, width, style, scale)
    return kind_named(name).sample(rng, height, width)


def drawn(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    """One of RAIN."""
    weights = np.array([shares.get(name, 0.0) for name in RAIN])
    return str(rng.choice(list(RAIN), p=weights / weights.sum()))


def rain(rng: np.random.Generator, height: int, width: int, kind: str) -> Steps:
    """Draws the steps of one of RAIN."""
    return tuple(kind_named(name).sample(rng, height, width) for name in RAIN[kind])


def seen(rng: np.random.Generator, height: int, width: int) -> Steps:
    """Draws what the camera and its codec do."""
    names = [name for name, chance in LENS if rng.uniform() < chance]
    codec = rng.choice([name for name, _ in CODEC] + [""], p=[chance for _, chance in CODEC] + [NO_CODEC])
    names += [str(codec)] if codec else []
    return tuple(kind_named(name).sample(rng, height, width) for name in names)


def joint(rng: np.random.Generator, height: int, width: int) -> Shot:
    """Draws drops and streaks by day, through a camera."""
    return Shot(rain(rng, height, width, "joint") + seen(rng, height, width))


def night(rng: np.random.Generator, height: int, width: int) -> Shot:
    """Draws a dark scene with lamps, in streaks, drops or both, through a camera."""
    dark: Steps = (camera.sample_night(rng, height, width, deep=True),)
    kind = str(rng.choice(["streaks", "drops", "joint"]))
    return Shot(dark + rain(rng, height, width, kind) + seen(rng, height, width))
