"""Raindrops on the lens or a pane before it: mostly out of focus, some sharp with a flipped scene inside.

A drop is a cap of water that gathers the wide surroundings, flipped, the sky in its lower half; the lens,
focused on the scene, blurs it into a soft disc, through which the background still shows in part. Pictures
are display-referred; light is added in linear light.

Measured on real pairs of dense drops: 29-51 % of the pixels touched, radii of 5-37 pixels, the background
keeps 6-69 % of its contrast under a veil of level 0.40-0.78, edges 3-20 pixels soft.
"""

import math

from derain.train.degradations.drop_motion import drops_at
from derain.train.degradations.drop_optics import through
from derain.train.degradations.drop_params import Drop, Lobe, Mist, Raindrops, Slide, Wiper
from derain.train.degradations.drop_shapes import surface
from derain.train.degradations.drop_styles import STYLES, sample
from derain.train.degradations.rain import Picture, Rainy, compared

__all__ = ["STYLES", "Drop", "Lobe", "Mist", "Raindrops", "Slide", "Wiper", "apply", "sample"]


def apply(clean: Picture, params: Raindrops, time: float = 0.0) -> Rainy:
    """The drops as they are at `time` seconds over `clean` (H, W, 3) in 0..1, whatever the scene does
    behind."""
    height, width = clean.shape[:2]
    margin = math.ceil(params.defocus) + 2
    water = surface(drops_at(params, height, width, time), height, width, margin)
    return compared(through(clean, water, params, margin), clean)
