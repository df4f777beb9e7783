"""Drops and streaks of a shot marked apart: for DAiAM's two attention losses (2021, section 3.4), and for the
two attention maps of our own networks."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from derain.train.degradations import masks
from derain.train.degradations.compose import Made, RainKind, Shot, ViewKind, kind_of, make
from derain.train.degradations.rain import Map, Picture

DROPS, STREAKS = ("raindrops", "dirt"), ("streaks", "jrsrd", "snow")
"""The kinds of compose.KINDS each mask is of: what sticks to the lens, and what falls."""

Scale: TypeAlias = Literal["picture", "absolute"]
"""What 1 is in a soft mask: the largest difference in the picture (DAiAM), or one of a fixed size (ours)."""
MARKS: Mapping[Scale, Callable[[Picture, Picture], Map]] = {
    "picture": masks.daiam,
    "absolute": masks.attention,
}


class JointMasks(NamedTuple):
    """Soft masks (H, W) float32 in 0..1 of drops and of streaks, all 0 where there are none."""

    drops: Map
    streaks: Map


def joint_masks(clean: Picture, shot: Shot, time: float = 0.0) -> JointMasks:
    """What each kind of rain changes in the shot over `clean` (H, W, 3) in 0..1, in the picture's scale.

    The picture with all the rain is compared with that without the one kind, both seen in the same light and
    through the same lens; noise and codec are left out, as they are no rain.
    """
    seen = Shot(tuple(step for step in shot.steps if not apart(step)))
    made = make(clean, seen, time)
    return JointMasks(*(mask_of(clean, seen, made, kinds, time) for kinds in (DROPS, STREAKS)))


def joint_attention(made: Made) -> JointMasks:
    """Where each kind of rain fell, in the absolute scale: what `joint_masks` finds out by making the picture
    anew, but for lenses that blur it. (H, W) as there."""
    nothing = np.zeros(made.clean.shape[:2], np.float32)
    fallen = [[made.kinds[name] for name in names if name in made.kinds] for names in (DROPS, STREAKS)]
    return JointMasks(*(np.maximum.reduce([nothing, *maps]) for maps in fallen))


def apart(step: object) -> bool:
    """Whether the step changes the rainy twin alone and is no rain."""
    kind = kind_of(step)
    return isinstance(kind, ViewKind) and not kind.both


def mask_of(clean: Picture, shot: Shot, made: Made, kinds: tuple[str, ...], time: float) -> Map:
    """The mask of `kinds` in what came of the shot; rendered anew only where other rain falls too."""
    rest = tuple(step for step in shot.steps if kind_of(step).name not in kinds)
    if len(rest) == len(shot.steps):
        return np.zeros(clean.shape[:2], np.float32)
    wet = any(isinstance(kind_of(step), RainKind) for step in rest)
    without = make(clean, Shot(rest), time).rainy.image if wet else made.clean
    return masks.daiam(made.rainy.image, without)
