"""A camera that moves over a photograph: its path is drawn first, then the photograph is looked at along it.

Lengths are pixels of the pictures that are looked at, times seconds from the middle of a clip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.rain import Picture
from derain.train.degradations.streaks import between

STANDS = 0.3
"""The share of cameras that stand still, as those over streets do."""
MOST_ZOOM = 0.3
"""Of a clip: its last picture is enlarged by exp(MOST_ZOOM) at most, seen from the first."""


@dataclass(frozen=True)
class CameraPath:
    """A camera that goes `right` and `down` by so many pixels a second, turns by `turn` radians and enlarges
    by a factor of exp(`zoom`) in each, and shakes by `shake` pixels, across and along, `hertz` times a
    second from `phase` on. Without any of it, it stands."""

    right: float = 0.0
    down: float = 0.0
    zoom: float = 0.0
    turn: float = 0.0
    shake: float = 0.0
    hertz: tuple[float, float] = (0.0, 0.0)
    phase: tuple[float, float] = (0.0, 0.0)


def sample(rng: np.random.Generator, size: int, seconds: float) -> CameraPath:
    """Draws a path for a clip of pictures of `size` pixels a side: from standing to as fast as one sees from
    a car, but no farther than a picture is wide; some zoom (as of a car that goes ahead), turn or shake."""
    if rng.uniform() < STANDS:
        return CameraPath()
    speed, way = min(between(rng, 3, 300), size / seconds), rng.uniform(0, 2 * math.pi)
    most = MOST_ZOOM / seconds
    zoom = float(np.clip(rng.normal(0, 0.15), -most, most)) if rng.uniform() < 0.5 else 0.0
    turn = rng.normal(0, 0.05) if rng.uniform() < 0.3 else 0.0
    shake = between(rng, 0.3, 4) if rng.uniform() < 0.5 else 0.0
    hertz, phase = rng.uniform(1, 8, 2), rng.uniform(0, 2 * math.pi, 2)
    return CameraPath(
        right=speed * math.cos(way),
        down=speed * math.sin(way),
        zoom=zoom,
        turn=turn,
        shake=shake,
        hertz=(float(hertz[0]), float(hertz[1])),
        phase=(float(phase[0]), float(phase[1])),
    )


def looked_at(path: CameraPath, time: float, size: int) -> npt.NDArray[np.float64]:
    """(2, 3): from a pixel (x, y) of the picture of `size` pixels to one of the photograph, counted from the
    photograph's middle."""
    scale, angle, middle = math.exp(-path.zoom * time), path.turn * time, (size - 1) / 2
    turned = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    swing = path.shake * np.sin(2 * math.pi * np.array(path.hertz) * time + np.array(path.phase))
    moved = np.array([path.right, path.down]) * time + swing - turned @ np.full(2, middle)
    return np.hstack([turned, moved[:, None]])


def margin(path: CameraPath, times: Sequence[float], size: int) -> int:
    """Pixels around a picture of `size` that the camera sees at any of the times."""
    ends = [-0.5, size - 0.5]
    corners = np.array([[x, y, 1] for x in ends for y in ends]).T
    farthest = max(float(np.abs(looked_at(path, time, size) @ corners).max()) for time in times)
    return max(0, math.ceil(farthest - size / 2))


def along(path: CameraPath, photo: Picture, times: Sequence[float], size: int) -> list[Picture]:
    """The pictures (size, size, 3) that the camera sees of `photo`, a square with `margin` on all sides."""
    middle = (photo.shape[0] - 1) / 2
    pictures = []
    for time in times:
        way = looked_at(path, time, size)
        way[:, 2] += middle
        how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(photo, way, (size, size), flags=how, borderMode=cv2.BORDER_REFLECT_101)
        pictures.append(np.asarray(np.clip(seen, 0, 1), np.float32))
    return pictures
