"""What comes after the rain, or before it: light, lens and sensor, each a step of a shot.

Every kind has its params, `sample_KIND(rng, height, width)` and `KIND(picture, params, time)`, which returns
a new (H, W, 3) float32 in 0..1, display-referred as it came. Lengths are in pixels.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from derain.train.degradations.rain import Map, Picture

DISPLAY_GAMMA = 2.2
"""Light to display, near enough to take a change of exposure in one multiplication."""


@dataclass(frozen=True)
class Defocus:
    """A lens focused wrongly: `radius` of its circle of confusion."""

    radius: float


@dataclass(frozen=True)
class MotionBlur:
    """A camera that moved `length` during the exposure, at `angle` from the vertical in degrees."""

    length: float
    angle: float


@dataclass(frozen=True)
class Sharpening:
    """An unsharp mask of `radius` and `amount`, as many cameras put it on: its bright edges are no rain."""

    radius: float
    amount: float


@dataclass(frozen=True)
class Exposure:
    """`stops` brighter (or darker), and the share of `red` and `blue` that the white balance gets wrong."""

    stops: float
    red: float
    blue: float


@dataclass(frozen=True)
class Lamp:
    """A light at (`x`, `y`) with a core of `radius` and a `glare` (0..1) that falls to 1/e at `reach`, the
    more suddenly the larger `fall` is."""

    x: float
    y: float
    radius: float
    glare: float
    reach: float
    fall: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Night:
    """Dusk to night: the picture to the power of `gamma`, times `level`, with lamps that must stay."""

    gamma: float
    level: float
    lamps: tuple[Lamp, ...]


@dataclass(frozen=True)
class Noise:
    """Sensor noise of variance `read`^2 + `shot` * picture, of its own at every time."""

    read: float
    shot: float
    seed: int


def sample_defocus(rng: np.random.Generator, height: int, width: int) -> Defocus:
    """Draws a slight defocus, of up to two pixels."""
    del height, width
    return Defocus(rng.uniform(0.5, 2.0))


def sample_motion_blur(rng: np.random.Generator, height: int, width: int) -> MotionBlur:
    """Draws a blur of 2 to 10 pixels in any direction."""
    del height, width
    return MotionBlur(rng.uniform(2, 10), rng.uniform(0, 180))


def sample_sharpening(rng: np.random.Generator, height: int, width: int) -> Sharpening:
    """Draws a sharpening from hardly seen to plainly too much."""
    del height, width
    return Sharpening(rng.uniform(0.7, 2.0), rng.uniform(0.3, 1.5))


def sample_exposure(rng: np.random.Generator, height: int, width: int) -> Exposure:
    """Draws an exposure within a stop of the right one, with a slight cast."""
    del height, width
    return Exposure(float(np.clip(rng.normal(0, 0.4), -1, 1)), rng.uniform(0.9, 1.1), rng.uniform(0.9, 1.1))


def sample_lamp(rng: np.random.Generator, height: int, width: int) -> Lamp:
    """Draws a lamp anywhere in the picture: sodium to daylight, or of any colour, as signals are."""
    red, green, blue = rng.uniform(0.3, 1, 3)
    if rng.uniform() < 0.6:
        red, green, blue = 1.0, 0.5 + 0.5 * green, green * blue
    return Lamp(
        x=rng.uniform(0, width),
        y=rng.uniform(0, height),
        radius=rng.uniform(1, 5),
        glare=rng.uniform(0.1, 0.6),
        reach=rng.uniform(3, 60),
        fall=rng.uniform(0.8, 3),
        colour=(float(red), float(green), float(blue)),
    )


def sample_night(rng: np.random.Generator, height: int, width: int, deep: bool = False) -> Night:
    """Draws a light from dull day to night, with up to four lamps; or, `deep`, night with one at least."""
    lamps = int(rng.integers(1 if deep else 0, 5))
    return Night(
        gamma=rng.uniform(1.3 if deep else 1.0, 2.2),
        level=rng.uniform(0.15, 0.5 if deep else 1.0),
        lamps=tuple(sample_lamp(rng, height, width) for _ in range(lamps)),
    )


def sample_noise(rng: np.random.Generator, height: int, width: int) -> Noise:
    """Draws a sensor's noise, from none to a small camera's at dusk."""
    del height, width
    return Noise(rng.uniform(0, 0.012), rng.uniform(0, 2e-4), int(rng.integers(2**32)))


def disc(radius: float) -> Map:
    """A defocused point: an antialiased disc, (K, K) float32, summing to 1."""
    size = math.ceil(radius)
    y, x = np.mgrid[-size : size + 1, -size : size + 1].astype(np.float32)
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def line(length: float, angle: float) -> Map:
    """A moving point: an antialiased line at `angle` degrees from the vertical, (K, K), summing to 1."""
    radius = math.ceil(length / 2) + 1
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    along, across = np.abs(x * sine + y * cosine), np.abs(x * cosine - y * sine)
    kernel = np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def spread(picture: Picture, kernel: Map) -> Picture:
    """`picture` drawn out by a kernel; beyond its borders it is taken to be mirrored."""
    return clipped(cv2.filter2D(picture, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101))


def clipped(picture: Picture) -> Picture:
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def defocus(picture: Picture, params: Defocus, time: float = 0.0) -> Picture:
    """Every point a disc."""
    del time
    return spread(picture, disc(params.radius))


def motion_blur(picture: Picture, params: MotionBlur, time: float = 0.0) -> Picture:
    """Every point a line."""
    del time
    return spread(picture, line(params.length, params.angle))


def sharpening(picture: Picture, params: Sharpening, time: float = 0.0) -> Picture:
    """Edges with overshoot."""
    del time
    blurred = cv2.GaussianBlur(picture, (0, 0), params.radius)
    return clipped(cv2.addWeighted(picture, 1 + params.amount, blurred, -params.amount, 0))


def exposure(picture: Picture, params: Exposure, time: float = 0.0) -> Picture:
    """More or less light, white where it was too much."""
    del time
    gain = 2 ** (params.stops / DISPLAY_GAMMA)
    return clipped(picture * np.array([gain * params.red, gain, gain * params.blue], np.float32))


def night(picture: Picture, params: Night, time: float = 0.0) -> Picture:
    """The picture in the dark, with its lamps."""
    del time
    dark = cv2.pow(picture, params.gamma) * np.float32(params.level)
    for lamp in params.lamps:
        dark += shine(lamp, *picture.shape[:2])[..., None] * np.array(lamp.colour, np.float32)
    return clipped(dark)


def shine(lamp: Lamp, height: int, width: int) -> Map:
    """A lamp's core and glare, (height, width) from 0 up."""
    across = np.arange(width, dtype=np.float32)[None, :] - np.float32(lamp.x)
    down = np.arange(height, dtype=np.float32)[:, None] - np.float32(lamp.y)
    distance = np.sqrt(across**2 + down**2)
    glare = cv2.exp(-cv2.pow(distance / np.float32(lamp.reach), lamp.fall)) * np.float32(lamp.glare)
    return np.asarray(np.clip(lamp.radius - distance, 0, 1) + glare, np.float32)


def noise(picture: Picture, params: Noise, time: float = 0.0) -> Picture:
    """The picture with the noise of this `time`."""
    rng = np.random.default_rng([params.seed, round(time * 1e6)])
    deviation = np.sqrt(np.float32(params.read**2) + np.float32(params.shot) * picture)
    return clipped(picture + deviation * rng.standard_normal(picture.shape, np.float32))
