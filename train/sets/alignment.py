"""How far a rainy picture lies from its clean twin, whatever rain is on it."""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

RGB: TypeAlias = npt.NDArray[np.uint8]
Plane: TypeAlias = npt.NDArray[np.float32]

LONGEST = 1024
"""Larger pictures are measured at this length of their longer side."""
SMALLEST = 24
"""Pictures with a shorter side than this have too little in them to measure."""
THUMBNAIL = 16


@dataclass(frozen=True)
class Alignment:
    """`dx`, `dy`: pixels by which the rainy picture lies right of and below the clean one. `peak`: how many
    standard deviations that shift stands out among all others: over 100 in the published sets, about 10 for
    two pictures that have nothing in common. `likeness`: correlation of their thumbnails, -1..1, NaN where
    one is flat."""

    dx: float
    dy: float
    peak: float
    likeness: float


def align(rainy: RGB, clean: RGB) -> Alignment | None:
    """Measures two (H, W, 3) pictures of one size; None where they are too small.

    By phase correlation of the luma's gradient: streaks and drops have no twin in the clean picture, so that
    they make noise all over the plane of shifts and no peak in it.
    """
    if min(rainy.shape[:2]) < SMALLEST:
        return None
    greys = [np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), np.float32) for p in (rainy, clean)]
    scale = min(1.0, LONGEST / max(rainy.shape[:2]))
    spectra = [np.fft.fft2(gradient(shrunk(grey, scale))) for grey in greys]
    dx, dy, peak = strongest(correlated(*spectra))
    return Alignment(dx / scale, dy / scale, peak, likeness(*greys))


def shrunk(grey: Plane, scale: float) -> Plane:
    if scale == 1.0:
        return grey
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def gradient(grey: Plane) -> npt.NDArray[np.complex128]:
    """(H, W): across in the real part, down in the imaginary one, fading towards the borders."""
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    return np.asarray((across + 1j * down) * window, np.complex128)


def correlated(a: npt.NDArray[np.complex128], b: npt.NDArray[np.complex128]) -> Plane:
    """The plane of shifts, that of nought in its middle, from two spectra."""
    cross = a * np.conj(b)
    size = np.abs(cross)
    plane = np.real(np.fft.ifft2(cross / (size + 1e-3 * size.mean() + 1e-12)))
    # Half a pixel's shift spreads its peak over two; a little blur brings it together.
    return np.asarray(cv2.GaussianBlur(np.fft.fftshift(plane), (0, 0), 0.7), np.float32)


def strongest(plane: Plane) -> tuple[float, float, float]:
    """(dx, dy, standard deviations) of a plane's peak, to a fraction of a pixel."""
    height, width = plane.shape
    y, x = divmod(int(plane.argmax()), width)
    dx = x - width // 2 + vertex(plane[y, np.arange(x - 1, x + 2) % width])
    dy = y - height // 2 + vertex(plane[np.arange(y - 1, y + 2) % height, x])
    return dx, dy, float(plane[y, x] / (plane.std() + 1e-12))


def vertex(values: npt.NDArray[np.float32]) -> float:
    """Where a parabola through three values at -1, 0 and 1 is highest, the middle one being the largest."""
    left, middle, right = (float(v) for v in values)
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0


def likeness(a: Plane, b: Plane) -> float:
    """Correlation of two thumbnails, -1..1; NaN where one is flat."""
    small = [
        cv2.resize(p, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
        for p in (a, b)
    ]
    deviations = [s - s.mean() for s in small]
    norm = float(np.linalg.norm(deviations[0]) * np.linalg.norm(deviations[1]))
    return float(deviations[0] @ deviations[1]) / norm if norm > 1e-6 else float("nan")
