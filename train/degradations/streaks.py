"""Rain streaks: sparse impulses drawn out by the exposure along the rain's fall, added or screened."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from derain.train.degradations.rain import Map, Picture, Rainy, compared


@dataclass(frozen=True)
class Layer:
    """Streaks of one depth: `angle` from the vertical in degrees, `length` and `width` in pixels,
    `coverage` the mean share of the layer under a streak, `brightness` of a streak's core (0..1), `taper` the
    share of the length over which an end fades, `flatness` of the profile across (2 is a Gaussian's)."""

    angle: float
    length: float
    width: float
    coverage: float
    brightness: float
    taper: float = 0.25
    flatness: float = 2.0


@dataclass(frozen=True)
class Streaks:
    """Parameters of one shower. `blend`: "additive", or "veil" towards grey `level` (1 is the screen blend);
    `haze`: share of grey veil over all (0..1); `seed`: of the streaks' places, combined with the time."""

    layers: tuple[Layer, ...]
    blend: str
    level: float
    haze: float
    seed: int


def sample_layer(rng: np.random.Generator, angle: float, heavy: float) -> Layer:
    """One layer near `angle`; `heavy` in 0..1 goes from sparse and faint to dense and bright."""
    width = math.exp(rng.uniform(math.log(0.5), math.log(2.6)))
    return Layer(
        angle=angle + rng.normal(0, 3),
        length=math.exp(rng.uniform(math.log(8), math.log(70))),
        width=width,
        coverage=math.exp(rng.uniform(math.log(0.015), math.log(0.10))) * (1 + 4 * heavy),
        brightness=rng.uniform(0.10, 0.55) + 0.4 * heavy * rng.uniform(),
        taper=rng.uniform(0.02, 0.4),
        flatness=rng.uniform(2, 6) if rng.uniform() < 0.4 else 2.0,
    )


def sample(rng: np.random.Generator, height: int, width: int) -> Streaks:
    """Draws a shower, from a drizzle to Rain100H-like density, for pictures of any size."""
    del height, width  # lengths are in pixels whatever the picture's size
    heavy = rng.uniform() if rng.uniform() < 0.5 else 0.0
    angle = float(np.clip(rng.normal(0, 18), -50, 50))
    count = 1 + int(rng.integers(0, 3))
    return Streaks(
        layers=tuple(sample_layer(rng, angle, heavy) for _ in range(count)),
        blend="additive" if rng.uniform() < 0.5 else "veil",
        level=rng.uniform(0.55, 1.0) if rng.uniform() < 0.6 else 1.0,
        haze=rng.uniform(0, 0.12) if rng.uniform() < 0.2 else 0.0,
        seed=int(rng.integers(2**32)),
    )


def streak_kernel(layer: Layer) -> Map:
    """One streak, bright in its middle, fading across and towards its ends; (K, K) float32 with peak 1."""
    radius = math.ceil(layer.length / 2 + 2 * layer.width)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    sine, cosine = math.sin(math.radians(layer.angle)), math.cos(math.radians(layer.angle))
    along, across = x * sine + y * cosine, x * cosine - y * sine
    taper = np.clip((layer.length / 2 - np.abs(along)) / (layer.taper * layer.length) + 0.5, 0, 1)
    profile = np.exp(-0.5 * np.abs(across / (0.5 * layer.width)) ** layer.flatness)
    return np.asarray(taper * profile, np.float32)


def layer_map(rng: np.random.Generator, layer: Layer, height: int, width: int) -> Map:
    """Brightness the layer adds, (height, width) float32; streaks enter from beyond the borders."""
    kernel = streak_kernel(layer)
    pad = kernel.shape[0] // 2
    area = max(layer.length * layer.width, 1.0)
    impulses = np.zeros((height + 2 * pad, width + 2 * pad), np.float32)
    count = rng.poisson(impulses.size * layer.coverage / area)
    rows = rng.integers(0, impulses.shape[0], count)
    columns = rng.integers(0, impulses.shape[1], count)
    impulses[rows, columns] = rng.uniform(0.3, 1.0, count)
    drawn = cv2.filter2D(impulses, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
    inner = drawn[pad : pad + height, pad : pad + width]
    return np.asarray(np.minimum(inner, 1.0) * layer.brightness, np.float32)


def lit(clean: Picture) -> float:
    """How bright rain is in a scene, 0.15..1: it shines by the scene's own light, and at night hardly."""
    return float(np.clip(3.0 * clean.mean(), 0.15, 1.0))


def apply(clean: Picture, params: Streaks, time: float = 0.0) -> Rainy:
    """Rain at `time` seconds over `clean` (H, W, 3) in 0..1; every time has its own streaks, as drops fall
    past between two frames of a camera."""
    rng = np.random.default_rng([params.seed, round(time * 1e6)])
    height, width = clean.shape[:2]
    light = np.minimum(sum(layer_map(rng, layer, height, width) for layer in params.layers), 1.0)[..., None]
    light = light * lit(clean)
    image = clean + light * (params.level - clean) if params.blend == "veil" else clean + light
    if params.haze:
        image = image * (1 - params.haze) + params.haze * 0.75
    return compared(image, clean)
