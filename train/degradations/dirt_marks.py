"""The marks on a dirty pane and how each is drawn. Lengths are in pixels, maps (H, W) float32 in 0..1."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.rain import Map

Colour: TypeAlias = tuple[float, float, float]
Window: TypeAlias = tuple[slice, slice]

SPECK_SIZES = 12
"""Sizes and shapes there are among the specks of one layer."""


@dataclass(frozen=True)
class Specks:
    """Grains: `density` of them on 10,000 pixels, of a `radius` that varies by a factor about exp(`variety`),
    hiding up to `alpha` of what is behind, of the dirt's own `colour`."""

    density: float
    radius: float
    variety: float
    alpha: float
    colour: Colour


@dataclass(frozen=True)
class Smear:
    """Where something wiped: fine lines `length` long and `width` across in all, around (`x`, `y`), `angle`
    in radians."""

    x: float
    y: float
    length: float
    width: float
    angle: float
    alpha: float
    colour: Colour


@dataclass(frozen=True)
class Ring:
    """What a drop left when it dried: dust along its rim, `width` wide, at `radius` around (`x`, `y`)."""

    x: float
    y: float
    radius: float
    width: float
    alpha: float
    colour: Colour


@dataclass(frozen=True)
class Print:
    """A finger's print: ridges `period` apart in an oval of `radius`, turned by `angle` in radians."""

    x: float
    y: float
    radius: float
    period: float
    angle: float
    alpha: float
    colour: Colour


Mark: TypeAlias = Specks | Smear | Ring | Print


def cover(rng: np.random.Generator, mark: Mark, height: int, width: int) -> Iterator[tuple[Window, Map]]:
    """Where a mark lies in a picture of that size, and how much it hides there, before any defocus."""
    if isinstance(mark, Specks):
        yield np.s_[0:height, 0:width], specks(rng, mark, height, width)
        return
    reach = mark.length if isinstance(mark, Smear) else 1.5 * mark.radius + 4
    rows, columns = around(mark.y, reach, height), around(mark.x, reach, width)
    right = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(mark.x)
    down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(mark.y)
    if isinstance(mark, Smear):
        alpha = smear(rng, mark, right, down)
    elif isinstance(mark, Ring):
        alpha = ring(rng, mark, right, down)
    else:
        alpha = fingerprint(rng, mark, right, down)
    yield (rows, columns), np.asarray(alpha, np.float32)


def around(centre: float, reach: float, size: int) -> slice:
    """The indices within `reach` of `centre` that lie in 0..size-1, none where it is too far off."""
    first = min(max(0, math.floor(centre - reach)), size)
    return slice(first, max(first, min(size, math.ceil(centre + reach) + 1)))


def cloud(rng: np.random.Generator, height: int, width: int, cell: int) -> Map:
    """Smooth noise in 0..1 that changes over about `cell` pixels."""
    grid = rng.random((height // cell + 3, width // cell + 3), np.float32)
    size = (grid.shape[1] * cell, grid.shape[0] * cell)
    return np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)[cell:, cell:][:height, :width])


def outline(rng: np.random.Generator, rough: float) -> npt.NDArray[np.float64]:
    """A random closed shape's radius, about 1, at 64 directions."""
    theta = np.arange(64) * (2 * math.pi / 64)
    strength = rng.normal(0, rough, 5) / np.arange(1, 6)
    phase = rng.uniform(0, 2 * math.pi, 5)
    waves = strength[:, None] * np.cos(np.arange(2, 7)[:, None] * theta + phase[:, None])
    return np.asarray(np.maximum(1 + waves.sum(axis=0), 0.2))


def off_centre(
    shape: npt.NDArray[np.float64], right: npt.NDArray[np.float32], down: npt.NDArray[np.float32]
) -> Map:
    """The distance to the centre over the shape's radius in that direction: 1 on the outline of radius 1."""
    theta = np.arctan2(down, right) * (shape.size / (2 * math.pi))
    return np.asarray(np.hypot(right, down) / shape[theta.round().astype(np.intp) % shape.size], np.float32)


def specks(rng: np.random.Generator, mark: Specks, height: int, width: int) -> Map:
    """Grains anywhere, the fainter the more often."""
    stamps = [stamp(rng, mark.radius * math.exp(rng.normal(0, mark.variety))) for _ in range(SPECK_SIZES)]
    pad = max(s.shape[0] for s in stamps)
    alpha = np.zeros((height + pad, width + pad), np.float32)
    count = int(rng.poisson(mark.density * height * width / 1e4))
    rows, columns = rng.integers(0, (height, width), (count, 2)).T
    strength = mark.alpha * rng.uniform(0.25, 1, count).astype(np.float32)
    which = rng.integers(0, SPECK_SIZES, count)
    for row, column, kind, peak in zip(rows, columns, which, strength, strict=True):
        size = stamps[kind].shape[0]
        under = alpha[row : row + size, column : column + size]
        np.maximum(under, stamps[kind] * peak, out=under)
    return alpha[pad // 2 : pad // 2 + height, pad // 2 : pad // 2 + width]


def stamp(rng: np.random.Generator, radius: float) -> Map:
    """One grain of a random shape, (K, K) with 1 in its middle."""
    half = math.ceil(1.6 * radius) + 1
    axis = np.arange(-half, half + 1, dtype=np.float32)
    distance = off_centre(outline(rng, 0.25), axis[None, :], axis[:, None])
    return np.asarray(np.clip(radius + 0.5 - distance, 0, 1), np.float32)


def smear(
    rng: np.random.Generator, mark: Smear, right: npt.NDArray[np.float32], down: npt.NDArray[np.float32]
) -> Map:
    """Lines along the stroke, fading at its ends and sides."""
    sine, cosine = math.sin(mark.angle), math.cos(mark.angle)
    along = (right * cosine + down * sine) / (mark.length / 2)
    across = (down * cosine - right * sine) / (mark.width / 2)
    lines = rng.uniform(0.1, 1, 2 * math.ceil(mark.width) + 2)
    strength = np.interp(across, np.linspace(-1, 1, lines.size), lines)
    fade = np.clip(2 - 2 * np.abs(along), 0, 1) * np.clip(2 - 2 * np.abs(across), 0, 1)
    return np.asarray(mark.alpha * fade * strength, np.float32)


def ring(
    rng: np.random.Generator, mark: Ring, right: npt.NDArray[np.float32], down: npt.NDArray[np.float32]
) -> Map:
    """A rim, thicker on one side, with a trace of dust inside."""
    distance = off_centre(outline(rng, 0.08), right, down)
    rim = np.exp(-(((distance - mark.radius) / mark.width) ** 2))
    turn = rng.uniform(0, 2 * math.pi)
    uneven = 0.65 + 0.35 * np.cos(np.arctan2(down, right) - turn)
    inside = 0.15 * np.clip(mark.radius - distance, 0, 1)
    return np.asarray(mark.alpha * np.maximum(rim * uneven, inside), np.float32)


def fingerprint(
    rng: np.random.Generator, mark: Print, right: npt.NDArray[np.float32], down: npt.NDArray[np.float32]
) -> Map:
    """Ridges around a core below the middle, broken where the finger did not touch."""
    sine, cosine = math.sin(mark.angle), math.cos(mark.angle)
    u, v = right * cosine + down * sine, down * cosine - right * sine
    whorl = np.hypot(u, 0.6 * (v - 0.3 * mark.radius))
    touched = cloud(rng, whorl.shape[0], whorl.shape[1], max(4, round(mark.radius / 2)))
    ridges = 0.5 + 0.5 * np.cos(2 * math.pi * (whorl / mark.period + 2 * touched))
    oval = np.clip(3 - 3 * np.hypot(u / mark.radius, v / (1.3 * mark.radius)), 0, 1)
    return np.asarray(mark.alpha * oval * ridges * np.clip(1.6 * touched, 0, 1), np.float32)
