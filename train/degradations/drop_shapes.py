"""The water's surface: caps of spheres on the glass, merged where they meet."""

from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.drop_params import Mist
from derain.train.degradations.rain import Map

Column = npt.NDArray[np.float32]
GROWTH = 1.4
"""Drops are drawn together with those up to this many times as large."""


@dataclass(frozen=True)
class Blobs:
    """Caps as columns (N,) float32: centre and `radius` in pixels, `stretch` and `angle` as of a Drop,
    `contact` in radians."""

    x: Column
    y: Column
    radius: Column
    stretch: Column
    angle: Column
    contact: Column

    def pick(self, which: npt.NDArray[np.bool_]) -> "Blobs":
        return Blobs(*(getattr(self, field.name)[which] for field in fields(self)))


def blobs(rows: npt.ArrayLike) -> Blobs:
    """From (N, 6), in the order of the fields."""
    table = np.asarray(rows, np.float32).reshape(-1, 6)
    return Blobs(*np.ascontiguousarray(table.T))


def joined(parts: list[Blobs]) -> Blobs:
    columns = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Blobs))
    return Blobs(*columns)


def mist_blobs(mist: Mist, height: int, width: int) -> Blobs:
    """The small drops, round, at the places their seed gives."""
    rng = np.random.default_rng(mist.seed)
    x = rng.uniform(-mist.margin, width + mist.margin, mist.count)
    y = rng.uniform(-mist.margin, height + mist.margin, mist.count)
    radius = mist.radius * np.exp(rng.normal(0, mist.spread, mist.count))
    stretch = np.exp(rng.normal(0, 0.12, mist.count))
    none = np.zeros(mist.count)
    return blobs(np.stack([x, y, radius, stretch, none, none + np.radians(mist.contact)], axis=1))


@dataclass(frozen=True)
class Water:
    """`thickness` in pixels and `cover` 0..1, both (H, W) float32."""

    thickness: Map
    cover: Map


def surface(drops: Blobs, height: int, width: int, margin: int) -> Water:
    """The water of all drops on a picture with `margin` pixels more on every side."""
    rows, columns = height + 2 * margin, width + 2 * margin
    # The last element takes what falls outside.
    thickness = np.zeros(rows * columns + 1, np.float32)
    cover = np.zeros_like(thickness)
    reach = np.ceil(drops.radius * np.maximum(drops.stretch, 1 / drops.stretch) + 1).astype(int)
    x, y = drops.x + np.float32(margin), drops.y + np.float32(margin)
    seen = (drops.radius > 0.2) & (x > -reach) & (x < columns + reach) & (y > -reach) & (y < rows + reach)
    steps = np.ceil(np.log(np.maximum(reach, 1)) / np.log(GROWTH)).astype(int)
    for step in np.unique(steps[seen]):
        group = seen & (steps == step)
        draw(
            drops.pick(group), x[group], y[group], int(reach[group].max()), (rows, columns), thickness, cover
        )
    smooth = cv2.GaussianBlur(thickness[:-1].reshape(rows, columns), (0, 0), 0.7)
    return Water(np.asarray(smooth, np.float32), cover[:-1].reshape(rows, columns))


def draw(
    drops: Blobs, x: Column, y: Column, reach: int, size: tuple[int, int], thickness: Column, cover: Column
) -> None:
    """Lays drops of about one size, each a square of 2 `reach` + 1 pixels, over the flat maps of `size`."""
    rows, columns = size
    around = np.arange(-reach, reach + 1)
    px, py = np.rint(x).astype(int)[:, None] + around, np.rint(y).astype(int)[:, None] + around
    dx = (px - x[:, None]).astype(np.float32)[:, None, :]
    dy = (py - y[:, None]).astype(np.float32)[:, :, None]
    sine, cosine, stretch = (column[:, None, None] for column in turned(drops))
    u, v = (dx * cosine + dy * sine) * stretch, (dy * cosine - dx * sine) / stretch
    radius, contact = drops.radius[:, None, None], drops.contact[:, None, None]
    far = u * u + v * v
    ball = radius / np.sin(contact)
    cap = np.sqrt(np.maximum(ball * ball - far, 0)) - ball * np.cos(contact)
    edge = np.minimum(np.maximum(radius + np.float32(0.5) - np.sqrt(far), 0), 1)
    inside = ((px >= 0) & (px < columns))[:, None, :] & ((py >= 0) & (py < rows))[:, :, None] & (edge > 0)
    place = (py[:, :, None] * columns + px[:, None, :])[inside]
    np.maximum.at(thickness, place, cap[inside])
    np.maximum.at(cover, place, edge[inside])


def turned(drops: Blobs) -> tuple[Column, Column, Column]:
    """Sine and cosine of the angle, and the root of the stretch, which keeps the area."""
    return np.sin(drops.angle), np.cos(drops.angle), np.sqrt(drops.stretch)
