"""Degradations one after another: a shot is scene, rain and camera in the order in which light meets them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from derain.train.degradations import camera, codec, dirt, jrsrd, raindrops, scratches, snow, streaks
from derain.train.degradations.rain import Map, Picture, Rainy, compared, dry


@dataclass(frozen=True)
class RainKind:
    """`name` in side-car files; `params`: the dataclass of what falls; `sample(rng, height, width)` draws it;
    `apply(clean, params, time)`."""

    name: str
    params: type
    sample: Callable[[np.random.Generator, int, int], Any]
    apply: Callable[[Picture, Any, float], Rainy]


@dataclass(frozen=True)
class ViewKind:
    """What is no rain: `apply(picture, params, time)` of light, optics or codec. `both`: it changes the
    clean twin too (night, exposure, defocus); otherwise only the rainy picture (noise, JPEG)."""

    name: str
    params: type
    sample: Callable[[np.random.Generator, int, int], Any]
    apply: Callable[[Picture, Any, float], Picture]
    both: bool


KINDS: tuple[RainKind | ViewKind, ...] = (
    RainKind("streaks", streaks.Streaks, streaks.sample, streaks.apply),
    RainKind("raindrops", raindrops.Raindrops, raindrops.sample, raindrops.apply),
    RainKind("dirt", dirt.Dirt, dirt.sample, dirt.apply),
    RainKind("jrsrd", jrsrd.NoiseStreaks, jrsrd.sample, jrsrd.apply),
    RainKind("snow", snow.Snow, snow.sample, snow.apply),
    RainKind("scratches", scratches.Scratches, scratches.sample, scratches.apply),
    ViewKind("night", camera.Night, camera.sample_night, camera.night, both=True),
    ViewKind("defocus", camera.Defocus, camera.sample_defocus, camera.defocus, both=True),
    ViewKind("motion-blur", camera.MotionBlur, camera.sample_motion_blur, camera.motion_blur, both=True),
    ViewKind("exposure", camera.Exposure, camera.sample_exposure, camera.exposure, both=True),
    ViewKind("sharpening", camera.Sharpening, camera.sample_sharpening, camera.sharpening, both=True),
    ViewKind("noise", camera.Noise, camera.sample_noise, camera.noise, both=False),
    ViewKind("jpeg", codec.Jpeg, codec.sample_jpeg, codec.jpeg, both=False),
    ViewKind("h264", codec.H264, codec.sample_h264, codec.h264, both=False),
)
"""Every kind of step a shot may have."""


@dataclass(frozen=True)
class Shot:
    """The params of every step, in order; each one's class is listed in KINDS."""

    steps: tuple[Any, ...]


@dataclass(frozen=True)
class Made:
    """What came of a clean picture: `rainy`, and `clean`, its twin in the same light, (H, W, 3) float32.

    `kinds`: by the name of each kind of rain, where it fell, as soft as `Rainy.attention`, before lens and
    light that came after.
    """

    rainy: Rainy
    clean: Picture
    kinds: Mapping[str, Map] = field(default_factory=dict)


def kind_of(step: object) -> RainKind | ViewKind:
    """The entry of KINDS for a step's class. Raises TypeError for a class that is not listed."""
    for kind in KINDS:
        if type(step) is kind.params:
            return kind
    raise TypeError(
        f"{type(step).__name__} is no step of a shot; KINDS lists {', '.join(k.name for k in KINDS)}"
    )


def kind_named(name: str) -> RainKind | ViewKind:
    """The entry of KINDS of that name. Raises KeyError where there is none."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise KeyError(name)


def make(clean: Picture, shot: Shot, time: float = 0.0) -> Made:
    """The shot over `clean` (H, W, 3) float32 in 0..1 at `time` seconds.

    The marks are those of the rain alone: where several kinds fall on a pixel, the strongest. Light and
    optics (kinds for `both`) that come after the rain change them with it; noise and codec do not.
    """
    made, same_view = Made(dry(clean), clean), True
    for step in shot.steps:
        kind = kind_of(step)
        if isinstance(kind, RainKind):
            fallen = kind.apply(made.rainy.image, step, time)
            kinds = {**made.kinds, kind.name: fallen.attention}
            if kind.name in made.kinds:
                kinds[kind.name] = np.maximum(made.kinds[kind.name], fallen.attention)
            made = Made(fall(made.rainy, fallen), made.clean, kinds)
        else:
            made = replace(seen(made, kind, step, time, same_view), kinds=made.kinds)
            same_view = same_view and kind.both
    return made


def seen(made: Made, kind: ViewKind, step: object, time: float, same_view: bool) -> Made:
    """Both twins after a step. `same_view`: so far only rain sets them apart, and can be marked anew."""
    before = made.rainy
    image = kind.apply(before.image, step, time)
    if not kind.both:
        return Made(Rainy(image, before.mask, before.attention), made.clean)
    if before.image is made.clean:  # no rain yet
        return Made(dry(image), image)
    clean = kind.apply(made.clean, step, time)
    return Made(compared(image, clean) if same_view else Rainy(image, before.mask, before.attention), clean)


def fall(before: Rainy, after: Rainy) -> Rainy:
    """`after`'s picture with the marks of both."""
    return Rainy(
        after.image, np.maximum(before.mask, after.mask), np.maximum(before.attention, after.attention)
    )
