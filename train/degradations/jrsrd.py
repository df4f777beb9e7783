"""The streaks of JRSRD (DAiAM 2021, section 4.4): Photoshop's noise, drawn out by its motion blur.

The paper lays four intensities over every picture with drops, with "noise levels between 20 % and 60 %", and
says no more; the way from noise to rain is the usual one of that program: noise on a black layer, scaled up,
motion blur, levels that take its grey away, and the screen blend. Display-referred, as there.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from derain.train.degradations.camera import line
from derain.train.degradations.rain import Map, Picture, Rainy, compared

NOISE = (0.2, 1 / 3, 7 / 15, 0.6)
"""The four intensities: the noise level, a share of the range, in equal steps from 20 % to 60 %."""

EXPOSURE = 1 / 60
"""Seconds in which a streak is drawn: it falls its own length in that time."""


@dataclass(frozen=True)
class NoiseStreaks:
    """`noise`: the noise's standard deviation, 0..1. `grain`: pixels a grain of it is wide. `length` of the
    motion blur in pixels, `angle` its turn from the vertical in degrees. `black`: how many standard
    deviations over its mean the blurred layer turns visible. `gain`: of what is above, in standard
    deviations of the noise. `seed`: of the noise."""

    noise: float
    grain: float
    length: float
    angle: float
    black: float
    gain: float
    seed: int


def sample(rng: np.random.Generator, height: int, width: int, intensity: int | None = None) -> NoiseStreaks:
    """Draws streaks of an `intensity` from 1 to 4, or of any of the four. Raises ValueError for another."""
    del height, width  # lengths are in pixels whatever the picture's size
    if intensity is None:
        intensity = int(rng.integers(1, len(NOISE) + 1))
    if not 1 <= intensity <= len(NOISE):
        raise ValueError(f"JRSRD's intensities are 1 to {len(NOISE)}, not {intensity}")
    return NoiseStreaks(
        noise=NOISE[intensity - 1],
        grain=rng.uniform(1.0, 2.2),
        length=rng.uniform(15, 45),
        angle=float(np.clip(rng.normal(0, 15), -45, 45)),
        black=rng.uniform(0.2, 0.8),
        gain=rng.uniform(0.55, 0.9),
        seed=int(rng.integers(2**32)),
    )


def grains(params: NoiseStreaks, height: int, width: int) -> Map:
    """The noise layer before its blur, at the picture's size: what is darker than black is cut off."""
    rows, columns = math.ceil(height / params.grain), math.ceil(width / params.grain)
    noise = np.random.default_rng(params.seed).standard_normal((rows, columns), np.float32)
    layer = np.clip(noise * np.float32(params.noise), 0, 1)
    return np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def drawn_out(noise: Map, params: NoiseStreaks) -> Map:
    """The noise after the motion blur and the levels, in 0..1; its borders fit on to each other."""
    kernel = line(params.length, params.angle)
    pad = kernel.shape[0] // 2
    around = cv2.copyMakeBorder(noise, pad, pad, pad, pad, cv2.BORDER_WRAP)
    drawn = cv2.filter2D(around, cv2.CV_32F, kernel)[pad:-pad, pad:-pad]
    mean, spread = (float(v[0, 0]) for v in cv2.meanStdDev(drawn))
    streaks = (drawn - (mean + params.black * spread)) * (params.gain * params.noise / max(spread, 1e-6))
    return np.asarray(np.clip(streaks, 0, 1), np.float32)


def fallen(layer: Map, params: NoiseStreaks, time: float) -> Map:
    """The layer as far down its angle as rain falls in `time` seconds; it comes round at the borders."""
    distance = params.length / EXPOSURE * time
    turn = math.radians(params.angle)
    shift = round(distance * math.cos(turn)), round(distance * math.sin(turn))
    return np.asarray(np.roll(layer, shift, (0, 1)), np.float32)


def apply(clean: Picture, params: NoiseStreaks, time: float = 0.0) -> Rainy:
    """The streaks at `time` seconds over `clean` (H, W, 3) in 0..1: the same noise, further down."""
    layer = fallen(drawn_out(grains(params, *clean.shape[:2]), params), params, time)[..., None]
    return compared(clean + layer * (1 - clean), clean)
