"""The mixture the shipped networks train on: streaks, drops, both, or none, then camera noise and JPEG."""

from collections.abc import Mapping

import cv2
import numpy as np

from derain.train.degradations import raindrops, streaks
from derain.train.degradations.compose import Made, Shot, make
from derain.train.degradations.rain import Picture, Rainy

KINDS = ("streaks", "drops", "joint", "dry")


def camera(rng: np.random.Generator, image: Picture) -> Picture:
    """Sensor noise on a third of the pictures and JPEG (quality 70..95) on a quarter of them."""
    if rng.uniform() < 0.33:
        image = image + rng.normal(0, rng.uniform(0, 0.012), image.shape).astype(np.float32)
    if rng.uniform() < 0.25:
        quality = int(rng.integers(70, 96))
        pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
        coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None
        image = decoded.astype(np.float32) / 255
    return np.clip(image, 0, 1).astype(np.float32)


def degrade(rng: np.random.Generator, clean: Picture, shares: Mapping[str, float]) -> Made:
    """Rain of a kind drawn by `shares` over `clean` (H, W, 3) in 0..1. Where both fall,
    drops come first and streaks after, as in JRSRD (DAiAM 2021)."""
    kind = str(rng.choice(KINDS, p=[shares[kind] for kind in KINDS]))
    height, width = clean.shape[:2]
    steps: tuple[object, ...] = ()
    if kind in ("drops", "joint"):
        steps += (raindrops.sample(rng, height, width),)
    if kind in ("streaks", "joint"):
        steps += (streaks.sample(rng, height, width),)
    made = make(clean, Shot(steps))
    rainy = made.rainy
    return Made(Rainy(camera(rng, rainy.image), rainy.mask, rainy.attention), made.clean)
