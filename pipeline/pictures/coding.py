"""Decoding and encoding by OpenCV: PNG, JPEG and WebP, all but PNG of grey and alpha."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.pictures.metadata import Header, PictureError

JPEG_QUALITY = 95
LOSSLESS_WEBP = 101
PNG_EFFORT = 4
MOST_PIXELS, MOST_SIDE = 1 << 30, 1 << 20
"""What OpenCV decodes at most, unless its environment variables say otherwise."""


def decode(data: bytes, header: Header) -> Pixels:
    """The pixels (H, W, channels), or (H, W) of one channel, RGB order, in stored orientation."""
    if header.width * header.height > MOST_PIXELS or max(header.width, header.height) > MOST_SIDE:
        raise PictureError(
            f"has {header.width}x{header.height} pixels; of this format derain reads {MOST_PIXELS:,}, "
            f"{MOST_SIDE:,} a side"
        )
    flags = cv2.IMREAD_UNCHANGED
    if header.channels in (1, 3):
        kind = cv2.IMREAD_GRAYSCALE if header.channels == 1 else cv2.IMREAD_COLOR_RGB
        flags = kind | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    with _quiet():
        pixels: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise PictureError("is broken: its pixels can't be decoded")
    if header.channels == 2:
        return np.ascontiguousarray(pixels[:, :, [0, 3]])
    if header.channels == 4:
        kind = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
        pixels = cv2.cvtColor(pixels, kind)
    return pixels


def encode(pixels: Pixels, alpha: Pixels | None, extension: str, quality: int | None) -> memoryview:
    """A file of `pixels`, (H, W, 3) RGB or (H, W) grey, and `alpha` (H, W); `quality` as in write_image."""
    if alpha is not None:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGRA if pixels.ndim == 2 else cv2.COLOR_RGB2BGRA)
        pixels[:, :, 3] = alpha
    elif pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    made, encoded = cv2.imencode(extension, pixels, _parameters(extension, quality))
    if not made:
        raise PictureError("could not be encoded")
    return encoded.reshape(-1).data


def _parameters(extension: str, quality: int | None) -> list[int]:
    if extension == ".jpg":
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        return [cv2.IMWRITE_JPEG_QUALITY, quality or JPEG_QUALITY, *sampling]
    if extension == ".webp" and quality is None:
        exact = [cv2.IMWRITE_WEBP_LOSSLESS_MODE, cv2.IMWRITE_WEBP_LOSSLESS_PRESERVE_COLOR]
        return [cv2.IMWRITE_WEBP_QUALITY, LOSSLESS_WEBP, *exact]
    if extension == ".webp":
        return [cv2.IMWRITE_WEBP_QUALITY, int(quality or 0)]
    return [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT]


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV tells of a broken file on stderr; the error that is raised tells it better."""
    logging: Any = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
