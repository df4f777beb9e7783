"""What falls through the picture: a layer of streaks of one depth at any time, without a state.

A layer lives on a plane of its own on which everything falls straight down. The plane has no end: it is cut
into bands of rows, and a band's streaks are drawn from (seed, band) when it comes into view, so that rain
does not loop and any time can be asked for alone. The plane is bent into the picture along the direction
field. The streaks of a layer come in a few strands, each with a direction and a speed of its own.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from derain.train.degradations.rain import Map

BAND = 256
"""Rows of a plane that are drawn at once."""

STRANDS = 3
"""Velocities in a layer whose streaks differ in direction or speed."""


@dataclass(frozen=True)
class Layer:
    """Streaks of one depth.

    `angle`: of the fall, from the vertical in degrees within -80..80, positive to the right; `length` in
    pixels is speed times exposure; `width` in pixels; `coverage`: the mean share of the layer under a streak;
    `brightness` of the brightest streak's core (0..1); `taper`: share of the length over which an end fades;
    `flatness` of the profile across (2 is a Gaussian's); `jitter`: degrees by which streaks stray from the
    angle; `variety`: their lengths, and so their speeds, differ by factors of about exp(-variety) to
    exp(variety); `spread`: a streak has `brightness` times u**spread, u even in 0..1 (0: all are alike).
    """

    angle: float
    length: float
    width: float
    coverage: float
    brightness: float
    taper: float = 0.25
    flatness: float = 2.0
    jitter: float = 1.5
    variety: float = 0.2
    spread: float = 0.5


@dataclass(frozen=True)
class Strand:
    """Streaks of one velocity: `angle` in degrees, `length` in pixels."""

    angle: float
    length: float


def strands(layer: Layer, seed: list[int]) -> list[Strand]:
    """The velocities in a layer."""
    if layer.jitter == 0 and layer.variety == 0:
        return [Strand(layer.angle, layer.length)]
    rng = np.random.default_rng(seed)
    steps = np.linspace(-1.2, 1.2, STRANDS)
    angles = layer.angle + layer.jitter * (steps + rng.uniform(-0.4, 0.4, STRANDS))
    lengths = layer.length * np.exp(layer.variety * rng.permutation(steps))
    return [Strand(float(a), float(length)) for a, length in zip(angles, lengths, strict=True)]


def light(layer: Layer, seed: list[int], exposures: float, bend: Map) -> Map:
    """The layer's light, (H, W) float32 in 0..`brightness`, `exposures` exposure times after the start.

    In each exposure time a streak falls by its own length. `bend` (H, W): pixels to the right by which the
    direction field carries what falls, beside the layer's own angle.
    """
    total = np.zeros(bend.shape, np.float32)
    found = strands(layer, seed)
    for number, strand in enumerate(found):
        total += strand_light(layer, strand, len(found), [*seed, number], exposures, bend)
    return np.minimum(total, np.float32(1), out=total) * np.float32(layer.brightness)


def strand_light(layer: Layer, strand: Strand, of: int, seed: list[int], exposures: float, bend: Map) -> Map:
    """One of the `of` strands that share the layer's coverage, (H, W) float32; the brightest core has 1."""
    height, width = bend.shape
    slope, cosine = math.tan(math.radians(strand.angle)), math.cos(math.radians(strand.angle))
    profile = profile_across(layer, cosine)
    fallen, side = exposures * strand.length * cosine, profile.size // 2 + 2
    margin = math.ceil(strand.length * cosine * (1 + layer.taper) / 2) + 2
    top = math.floor(-fallen) - margin
    left = math.floor(-max(0.0, slope * height) - float(bend.max())) - side
    right = math.ceil(width - min(0.0, slope * height) - float(bend.min())) + side
    density = layer.coverage / of / max(strand.length * layer.width, 1.0)
    plane = impulses(seed, (top, height + 2 * margin + 1), right - left, density, layer.spread)
    plane = cv2.filter2D(drawn_out(plane, layer, strand.length * cosine), cv2.CV_32F, profile)
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None]
    rows = np.broadcast_to(y + np.float32(-fallen - top), (height, width))
    columns = x - np.float32(slope) * y - bend - np.float32(left)
    return np.asarray(cv2.remap(plane, columns, np.ascontiguousarray(rows), cv2.INTER_LINEAR), np.float32)


def impulses(seed: list[int], rows: tuple[int, int], width: int, density: float, spread: float) -> Map:
    """Points of light on `rows` (first, count) of a plane `width` wide, `density` of them a pixel."""
    first, count = rows
    plane = np.zeros((count, width), np.float32)
    for band in range(first // BAND, (first + count - 1) // BAND + 1):
        rng = np.random.default_rng([*seed, band % 2**32])
        number = rng.poisson(BAND * width * density)
        row = rng.integers(0, BAND, number) + (band * BAND - first)
        column = rng.integers(0, width, number)
        strength = rng.random(number, np.float32) ** np.float32(spread)
        seen = (row >= 0) & (row < count)
        plane[row[seen], column[seen]] = strength[seen]
    return plane


def drawn_out(plane: Map, layer: Layer, rows: float) -> Map:
    """Points drawn out to `rows` rows, with ends that fade over `taper` of them."""
    long, end = max(1, round(rows)), max(1, round(layer.taper * rows))
    long, end = max(long, end), min(long, end)
    outside = cv2.BORDER_CONSTANT
    drawn = cv2.boxFilter(plane, cv2.CV_32F, (1, long), normalize=False, borderType=outside)
    return np.asarray(cv2.boxFilter(drawn, cv2.CV_32F, (1, end), borderType=outside), np.float32)


def profile_across(layer: Layer, cosine: float) -> Map:
    """(1, K) float32: a streak's brightness along a row, 1 in its middle."""
    radius = math.ceil(1.5 * layer.width / cosine)
    across = np.arange(-radius, radius + 1) * cosine / (0.5 * layer.width)
    return np.asarray(np.exp(-0.5 * np.abs(across) ** layer.flatness), np.float32)[None]
