"""Raindrops on the lens or a pane before it: mostly out of focus, some sharp with a flipped scene inside.

Measured on real pairs of dense drops: 29-51 % of the pixels touched, radii of 5-37 pixels, the background
keeps 6-69 % of its contrast under a veil of level 0.40-0.78, edges 3-20 pixels soft.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.rain import Map, Picture, Rainy, compared


@dataclass(frozen=True)
class Drop:
    """One drop: centre and `radius` in pixels, `stretch` and `angle` of its ellipse, `wave` the amplitudes of
    its outline's harmonics, `edge` softness in pixels, `keep` share of the background contrast left."""

    x: float
    y: float
    radius: float
    stretch: float
    angle: float
    wave: tuple[float, float, float]
    edge: float
    keep: float


@dataclass(frozen=True)
class Raindrops:
    """Drops of one lens. `focus` in 0..1: 0 fully out of focus, 1 sharp. `veil`: level (0..1) and `grey` its
    share of grey; `magnify`: how much wider than the lens a drop sees, its view flipped, or -1 for drops so
    blurred that they show what is behind them; `rim`, `glint`: dark edge and bright spot, 0..1."""

    drops: tuple[Drop, ...]
    focus: float
    veil: float
    grey: float
    magnify: float
    rim: float
    glint: float


def sample_drop(rng: np.random.Generator, height: int, width: int, radius: float, focus: float) -> Drop:
    """One drop anywhere on the picture, its radius spread around `radius`."""
    r = float(np.clip(radius * math.exp(rng.normal(0, 0.45)), 2.0, 80.0))
    soft = 1.0 + (1 - focus) * rng.uniform(0.35, 1.5) * r
    return Drop(
        x=rng.uniform(-r, width + r),
        y=rng.uniform(-r, height + r),
        radius=r,
        stretch=rng.uniform(0.75, 1.3),
        angle=rng.uniform(0, math.pi),
        wave=(rng.normal(0, 0.08), rng.normal(0, 0.06), rng.normal(0, 0.04)),
        edge=float(np.clip(soft, 1.0, max(22.0, 1.5 * r))),
        keep=float(np.clip(rng.normal(0.4, 0.2), 0.03, 0.75)),
    )


def sample(rng: np.random.Generator, height: int, width: int) -> Raindrops:
    """Draws a wet lens for a picture of that size: focus mostly soft, coverage from a few drops to dense."""
    blurred = rng.uniform() < 0.4
    focus = 0.0 if blurred else float(rng.beta(0.7, 1.6))
    radius = math.exp(rng.uniform(math.log(5 if blurred else 4), math.log(60 if blurred else 20)))
    coverage = math.exp(rng.uniform(math.log(0.08), math.log(1.2)))
    count = 1 + int(rng.poisson(coverage * height * width / (math.pi * radius**2 * 1.5)))
    return Raindrops(
        drops=tuple(sample_drop(rng, height, width, radius, focus) for _ in range(min(count, 4000))),
        focus=focus,
        veil=rng.uniform(0.35, 0.85),
        grey=rng.uniform(0.2, 0.9),
        magnify=-1.0 if blurred else rng.uniform(2.0, 8.0),
        rim=rng.uniform(0, 0.5) * focus,
        glint=rng.uniform(0, 0.8) * focus,
    )


@dataclass
class Lens:
    """Maps the drops draw, all (H, W) float32: `alpha` cover, `keep` contrast left, `map_x`/`map_y` where a
    drop's pixel looks, `rim` and `glint` shading."""

    alpha: Map
    keep: Map
    map_x: npt.NDArray[np.float32]
    map_y: npt.NDArray[np.float32]
    rim: Map
    glint: Map


def blank_lens(height: int, width: int) -> Lens:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    maps = [np.zeros((height, width), np.float32) for _ in range(3)]
    return Lens(maps[0], np.ones((height, width), np.float32), x, y, maps[1], maps[2])


def draw(lens: Lens, drop: Drop, magnify: float) -> None:
    """Draws one drop into the maps; the drop that covers a pixel most decides what is seen there."""
    height, width = lens.alpha.shape
    reach = drop.radius * 1.5 + drop.edge
    x0, x1 = max(0, int(drop.x - reach)), min(width, int(drop.x + reach) + 1)
    y0, y1 = max(0, int(drop.y - reach)), min(height, int(drop.y + reach) + 1)
    if x0 >= x1 or y0 >= y1:
        return
    dx = np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(drop.x)
    dy = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(drop.y)
    sine, cosine = math.sin(drop.angle), math.cos(drop.angle)
    u, v = (dx * cosine + dy * sine) * drop.stretch, (dy * cosine - dx * sine) / drop.stretch
    theta = np.arctan2(v, u)
    outline = 1 + sum(a * np.cos((k + 2) * theta + 5 * a) for k, a in enumerate(drop.wave))
    distance = np.hypot(u, v) / outline
    t = np.clip((drop.radius + drop.edge / 2 - distance) / drop.edge, 0, 1)
    alpha = t * t * (3 - 2 * t)
    window = np.s_[y0:y1, x0:x1]
    wins = alpha > lens.alpha[window]
    near = np.clip(distance / drop.radius, 0, 1)
    for name, value in (
        ("keep", np.full_like(alpha, drop.keep)),
        ("map_x", drop.x - dx * magnify),
        ("map_y", drop.y - dy * magnify),
        ("rim", near**4),
        ("glint", np.exp(-(((u / drop.radius) + 0.35) ** 2 + ((v / drop.radius) + 0.35) ** 2) * 14)),
    ):
        target = getattr(lens, name)[window]
        np.copyto(target, np.broadcast_to(value, alpha.shape), where=wins, casting="same_kind")
    # Merging drops: the union of soft discs, not their maximum, so that two edges flow into one.
    lens.alpha[window] = 1 - (1 - lens.alpha[window]) * (1 - alpha)


def refraction(clean: Picture, lens: Lens, params: Raindrops) -> Picture:
    """What the drops show: the wide flipped surroundings, blurred by defocus, brightened and greyed."""
    height, width = clean.shape[:2]
    blur = 1.0 + (1 - params.focus) * (14 if params.magnify < 0 else 0.12 * min(height, width))
    small = cv2.resize(clean, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(small, (0, 0), max(blur / 4, 0.3))
    seen = cv2.remap(
        wide, lens.map_x / 4, lens.map_y / 4, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    brightness = max(float(clean.mean()), 0.02)
    lift = params.veil * min(1.0, 2.2 * brightness) - brightness
    seen = seen + (0.6 * lift if params.magnify < 0 else lift)
    grey = seen.mean(axis=2, keepdims=True)
    return np.asarray(seen + params.grey * (grey - seen), np.float32)


def apply(clean: Picture, params: Raindrops, time: float = 0.0) -> Rainy:
    """The drops over `clean` (H, W, 3) in 0..1; they stay where they are whatever the `time`."""
    del time
    lens = blank_lens(*clean.shape[:2])
    for drop in params.drops:
        draw(lens, drop, params.magnify)
    lens.keep = cv2.GaussianBlur(lens.keep, (0, 0), 1.5)
    shading = (1 - params.rim * lens.rim)[..., None]
    veil = refraction(clean, lens, params) * shading + params.glint * lens.glint[..., None]
    through = cv2.GaussianBlur(clean, (0, 0), 0.6 + 4 * (1 - params.focus))
    keep, alpha = lens.keep[..., None], lens.alpha[..., None]
    inside = keep * through + (1 - keep) * veil
    return compared(clean * (1 - alpha) + alpha * inside, clean)
