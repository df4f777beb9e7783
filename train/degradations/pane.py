"""A dirty pane: how much it hides and what it adds, made up or measured; kept as two 16-bit PNGs."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError
from derain.train.degradations.rain import Map, Picture
from derain.train.whole_folder import write_png

ALPHA, ADDED = "alpha.png", "alphaD.png"
LEVELS = 65535


@dataclass(frozen=True)
class Pane:
    """`alpha` (H, W): the share of the background that is hidden; `added` (H, W, 3) RGB: alpha times D, the
    light of the dirt itself. Both float32 in 0..1, for pictures of the same transfer (display-referred)."""

    alpha: Map
    added: Picture


def before(picture: Picture, pane: Pane, p: tuple[float, float, float]) -> Picture:
    """Eigen 2013, section 3.1: I' = p alpha D + (1 - alpha) I, not yet clipped."""
    kept = cv2.multiply(picture, cv2.merge([1 - pane.alpha] * 3))
    return np.asarray(kept + pane.added * np.array(p, np.float32), np.float32)


def write_pane(folder: Path, pane: Pane) -> None:
    """Writes the two PNGs, whose values are within 1/131070 of the pane's. Raises DerainError, OSError."""
    write_png(folder / ALPHA, levels(pane.alpha))
    write_png(folder / ADDED, levels(pane.added))


def levels(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    return np.asarray((values * LEVELS).round(), np.uint16)


def digest(folder: Path) -> str:
    """sha256 over both files of a pane. Raises DerainError where one can't be read."""
    total = hashlib.sha256()
    for name in (ALPHA, ADDED):
        total.update(read_bytes(folder / name))
    return total.hexdigest()


def read_pane(folder: Path) -> Pane:
    """The pane in a folder. Raises DerainError where there is none, or its pictures don't fit together."""
    alpha = decoded(folder / ALPHA, cv2.IMREAD_UNCHANGED)
    added = decoded(folder / ADDED, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
    if (
        alpha.ndim != 2
        or alpha.shape != added.shape[:2]
        or {alpha.dtype, added.dtype} != {np.dtype(np.uint16)}
    ):
        raise DerainError(
            f"{folder} holds no pane: {ALPHA} is 16-bit grey and {ADDED} 16-bit RGB of the same size, not "
            f"{alpha.dtype} {alpha.shape} and {added.dtype} {added.shape}"
        )
    scale = np.float32(LEVELS)
    return Pane(np.asarray(alpha, np.float32) / scale, np.asarray(added, np.float32) / scale)


def decoded(path: Path, way: int) -> npt.NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), way)
    if pixels is None:
        raise DerainError(f"{path} is not a picture that OpenCV reads")
    return np.asarray(pixels)


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DerainError(
            f"{path} of a dirty pane can't be read: {(error.strerror or str(error)).lower()}"
        ) from error
