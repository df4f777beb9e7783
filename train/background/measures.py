"""Whether a background is clean, measured where the paper asks people: no file, no codec.

Two things tell. Backgrounds of disjoint halves of the sequence agree only as far as both are right: what is
left of rain or noise differs between them. And where rain is left, frames without it at that pixel lie
clearly below the background.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from derain.engines.quality import psnr
from derain.train.background.ranks import Samples, background

AGREED = 40.0
"""Decibels from which two halves agree. Each half has twice the variance of the whole, and the difference of
the two twice that of one: the whole is some 6 dB better where chance is all that is wrong. An error that both
halves share is not seen: in made rain so dense that it covers most of the frames (18 dB) halves agreed to 41
dB on pictures that were 36 dB from the truth."""
LEFT = 0.001
"""The share of pixels with rain left up to which a background is clean."""
BELOW = 0.05
"""Rain is left where at least this share of the frames lies clearly below the background."""
CLEARLY = 8.0
"""Grey levels of 255 that are a clear difference, or NOISES times the noise where that is more."""
NOISES = 5.0


@dataclass(frozen=True)
class Rain:
    """What the frames have above their background.

    `share` of all values of all frames, 0..1. `brightness`: their mean in grey levels of 255. `frames`: how
    many in a row one lasts, on average; rain is gone in the next frame or the one after. Zero all where there
    is none.
    """

    share: float
    brightness: float
    frames: float


@dataclass(frozen=True)
class Measures:
    """`agreement`: PSNR in dB between the backgrounds of the even and the odd frames or of the first and the
    second half of the sequence, whichever is the less; infinite where both are equal. `left`: share of pixels
    with rain left.
    """

    agreement: float
    left: float
    rain: Rain

    @property
    def clean(self) -> bool:
        """Whether both figures say so."""
        return self.agreement >= AGREED and self.left <= LEFT


def measure(frames: Samples) -> Measures:
    """Of the background of `frames` (N, P, 3), pixels picked from N >= 4 frames in time."""
    picture, _ = background(frames)
    above = brightness(frames) - brightness(picture)
    clearly = max(CLEARLY, NOISES * noise(above))
    return Measures(agreement(frames), left(above, clearly), rain(above, clearly))


def agreement(frames: Samples) -> float:
    """PSNR in dB between the backgrounds of disjoint halves, see Measures."""
    peak = float(np.iinfo(frames.dtype).max)
    middle = len(frames) // 2
    halves = ((frames[::2], frames[1::2]), (frames[:middle], frames[middle:]))
    return min(psnr(background(one)[0], background(other)[0], peak) for one, other in halves)


def brightness(samples: Samples) -> npt.NDArray[np.float32]:
    """The mean of the three colours in grey levels of 255, without the last axis."""
    scale = np.float32(255 / np.iinfo(samples.dtype).max)
    return np.asarray(samples.mean(axis=-1, dtype=np.float32) * scale, np.float32)


def noise(above: npt.NDArray[np.float32]) -> float:
    """The standard deviation of what is no rain, in grey levels: from the middle half of all differences."""
    return 1.48 * float(np.median(np.abs(above)))


def left(above: npt.NDArray[np.float32], clearly: float) -> float:
    """The share of the pixels of (N, P) at which the background has rain left."""
    most = max(2, int(np.ceil(BELOW * len(above))))
    return float(np.mean((above < -clearly).sum(axis=0) >= most))


def rain(above: npt.NDArray[np.float32], clearly: float) -> Rain:
    """What of (N, P) lies clearly above the background."""
    wet = above > clearly
    count = int(wet.sum())
    if not count:
        return Rain(0.0, 0.0, 0.0)
    begun = int(wet[0].sum()) + int((wet[1:] & ~wet[:-1]).sum())
    return Rain(count / wet.size, float(above[wet].mean()), count / begun)
