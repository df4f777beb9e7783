"""Drops and streaks of a shot marked apart, as DAiAM's two attention losses need them (2021, section 3.4)."""

from typing import NamedTuple

from derain.train.degradations import masks
from derain.train.degradations.compose import Shot, ViewKind, kind_of, make
from derain.train.degradations.rain import Map, Picture

DROPS, STREAKS = ("raindrops",), ("streaks", "jrsrd")
"""The kinds of compose.KINDS each mask is of."""


class JointMasks(NamedTuple):
    """Soft masks (H, W) float32 in 0..1 of drops and of streaks, all 0 where there are none."""

    drops: Map
    streaks: Map


def joint_masks(clean: Picture, shot: Shot, time: float = 0.0) -> JointMasks:
    """What each kind of rain changes in the shot over `clean` (H, W, 3) float32 in 0..1.

    The picture with all the rain is compared with that without the one kind, both seen in the same light and
    through the same lens; noise and codec are left out, as they are no rain.
    """
    seen = Shot(tuple(step for step in shot.steps if not apart(step)))
    return JointMasks(*(mask_of(clean, seen, kinds, time) for kinds in (DROPS, STREAKS)))


def apart(step: object) -> bool:
    """Whether the step changes the rainy twin alone and is no rain."""
    kind = kind_of(step)
    return isinstance(kind, ViewKind) and not kind.both


def mask_of(clean: Picture, shot: Shot, kinds: tuple[str, ...], time: float) -> Map:
    without = Shot(tuple(step for step in shot.steps if kind_of(step).name not in kinds))
    return masks.daiam(make(clean, shot, time).rainy.image, make(clean, without, time).rainy.image)
