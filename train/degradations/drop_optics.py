"""What is seen in the water: the wide surroundings refracted at its surface, then blurred by the lens.

Light is added in linear light (taken as the square of the display-referred value), where a blurred bright
spot stays bright.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.drop_params import Raindrops
from derain.train.degradations.drop_shapes import Water
from derain.train.degradations.rain import Map, Picture

WATER = 1.333
"""Refractive index."""

Floats = npt.NDArray[np.float32]


def bend(slope: Floats) -> tuple[Floats, Floats]:
    """(tangent of the angle by which a surface of that slope turns a straight ray, share of light let
    through).

    Snell: n sin(a) = sin(b), and the ray turns by b - a. Steeper than the critical angle nothing passes.
    """
    cosine = 1 / np.sqrt(1 + slope * slope)
    inner = slope * cosine
    outer = np.float32(WATER) * inner
    passed = np.clip((1 - outer) * np.float32(7), 0, 1)
    outer = np.minimum(outer, np.float32(0.985))
    across = np.sqrt(1 - outer * outer)
    tangent = (outer * cosine - across * inner) / (across * cosine + outer * inner)
    return np.asarray(tangent, np.float32), np.asarray(passed, np.float32)


def sky_colour(clean: Picture, params: Raindrops) -> Floats:
    """(3,) linear: as bright as the scene lets the sky be; at night there is none."""
    day = min(1.0, 2.6 * float(clean.mean()))
    colour = np.array([1 - 0.08 * params.tint, 1, 1 + 0.08 * params.tint], np.float32)
    return np.asarray(np.minimum(colour * (params.sky * day), 1) ** 2, np.float32)


def surroundings(clean: Picture, params: Raindrops) -> Picture:
    """The scene and what is beyond it, linear: (3h, w, 3) of some h and w of at most 96, the picture in the
    middle third, the sky's light above, and below the ground, darker."""
    height, width = clean.shape[:2]
    scale = min(1.0, 96 / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    scene = np.asarray(cv2.resize(clean, size, interpolation=cv2.INTER_AREA), np.float32) ** 2
    rows = scene.shape[0]
    away = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    top = scene[: max(1, rows // 4)].mean(axis=(0, 1))
    light = np.maximum(sky_colour(clean, params), top)
    above = scene + (light - scene) * np.minimum(away * 2, 1)
    ground = scene[-max(1, rows // 3) :].mean(axis=(0, 1)) * np.float32(0.75)
    below = scene[::-1] + (ground - scene[::-1]) * np.minimum(away * 2, 1)
    return np.concatenate([above[::-1], scene, below])


def refracted(clean: Picture, water: Water, params: Raindrops, margin: int) -> Picture:
    """What the water shows at every pixel, linear, (H + 2 margin, W + 2 margin, 3)."""
    height, width = clean.shape[:2]
    wide = surroundings(clean, params)
    gx = cv2.Sobel(water.thickness, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    gy = cv2.Sobel(water.thickness, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    slope = np.sqrt(gx * gx + gy * gy) + np.float32(1e-6)
    tangent, passed = bend(slope)
    reach = tangent * np.float32(params.view * max(height, width)) / slope
    rows = wide.shape[0] // 3
    x = (np.arange(-margin, width + margin, dtype=np.float32) + gx * reach) * (wide.shape[1] / width)
    y = (np.arange(-margin, height + margin, dtype=np.float32)[:, None] + gy * reach) * (rows / height) + rows
    seen = cv2.remap(
        wide,
        x.astype(np.float32),
        np.clip(y, 0, 3 * rows - 1).astype(np.float32),
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    dark = 1 - np.float32(params.rim) * (1 - passed)
    seen = seen + np.float32(params.glow) * (sky_colour(clean, params) - seen)
    return np.asarray(seen * dark[..., None], np.float32)


def disc(radius: float) -> Map:
    """The image of a point out of focus: (K, K) float32 with sum 1, its edge one pixel soft."""
    reach = math.ceil(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def defocused(layer: Floats, radius: float) -> Floats:
    """`layer` (H, W, 4) as a lens focused elsewhere sees it; computed at a smaller size for wide discs."""
    if radius < 0.3:
        return layer
    step = max(1, int(radius / 3))
    height, width = layer.shape[:2]
    size = (-(-width // step), -(-height // step))
    small = cv2.resize(layer, size, interpolation=cv2.INTER_AREA) if step > 1 else layer
    blurred = cv2.filter2D(small, cv2.CV_32F, disc(radius / step), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(
        cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR) if step > 1 else blurred,
        np.float32,
    )


def through(clean: Picture, water: Water, params: Raindrops, margin: int) -> Picture:
    """`clean` (H, W, 3) in 0..1 behind the water, which reaches `margin` pixels beyond it on every side."""
    height, width = clean.shape[:2]
    cover = (water.cover * np.float32(1 - params.clear))[..., None]
    light = refracted(clean, water, params, margin) * cover
    layer = defocused(np.concatenate([light, cover], axis=2), params.defocus)
    layer = layer[margin : margin + height, margin : margin + width]
    linear = clean * clean * (1 - layer[..., 3:]) + layer[..., :3]
    return np.asarray(np.sqrt(np.maximum(linear, 0)), np.float32)
