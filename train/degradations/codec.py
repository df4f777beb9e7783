"""The codec that real rain reaches us through: JPEG and H.264, each a step of a shot, after the sensor.

Pictures are (H, W, 3) float32 in 0..1, display-referred. The same build gives the same pixels; another
version of OpenCV or x264 may code a picture a level differently.
"""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.rain import Picture

LUMA = np.array([0.299, 0.587, 0.114])
YUV = np.column_stack(
    [
        [219 * LUMA, 224 / 1.772 * (np.array([0, 0, 1]) - LUMA), 224 / 1.402 * (np.array([1, 0, 0]) - LUMA)],
        [16, 128, 128],
    ]
)
"""BT.601 from RGB in 0..1 to levels of limited range: (3, 4), the last column added."""

RGB = np.column_stack([np.linalg.inv(YUV[:, :3]), -np.linalg.inv(YUV[:, :3]) @ YUV[:, 3]])
"""The way back."""


@dataclass(frozen=True)
class Jpeg:
    """JPEG at `quality` 1 to 100, with half the chroma resolution each way."""

    quality: int


@dataclass(frozen=True)
class H264:
    """x264 at `crf` (0 to 51): the last of `frames` frames of the picture, moving by `right` and `down`
    pixels from each to the next. The first is coded by itself, later ones from the one before."""

    crf: int
    frames: int
    right: int
    down: int


def sample_jpeg(rng: np.random.Generator, height: int, width: int) -> Jpeg:
    """Draws a quality of 60 to 95."""
    del height, width
    return Jpeg(int(rng.integers(60, 96)))


def sample_h264(rng: np.random.Generator, height: int, width: int) -> H264:
    """Draws a factor from 18, hardly seen, to 33, plainly coded, of a still or slowly moving scene."""
    del height, width
    right, down = rng.integers(-4, 5, 2)
    return H264(int(rng.integers(18, 34)), int(rng.integers(1, 4)), int(right), int(down))


def jpeg(picture: Picture, params: Jpeg, time: float = 0.0) -> Picture:
    """Coded and decoded."""
    del time
    options = [cv2.IMWRITE_JPEG_QUALITY, params.quality]
    pixels = np.asarray((picture[..., ::-1] * 255).round(), np.uint8)
    decoded = cv2.imdecode(cv2.imencode(".jpg", pixels, options)[1], cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    return np.asarray(decoded, np.float32) / np.float32(255)


def h264(picture: Picture, params: H264, time: float = 0.0) -> Picture:
    """Coded and decoded, with padding to whole macroblocks that is cut off again."""
    del time
    height, width = picture.shape[:2]
    padded = cv2.copyMakeBorder(picture, 0, -height % 16, 0, -width % 16, cv2.BORDER_REPLICATE)
    packets = coded(padded, params)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    planes = np.asarray(frames[-1].to_ndarray(), np.uint8)
    return np.ascontiguousarray(from_yuv(planes)[:height, :width])


def coded(picture: Picture, params: H264) -> list[av.Packet[Any]]:
    """The frames that end with `picture`, in one thread: more would cut it into slices of their own."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = "yuv420p", Fraction(1, 25), 1
    encoder.options = {"crf": str(params.crf), "preset": "veryfast", "tune": "zerolatency"}
    packets = []
    for number in range(params.frames):
        still = params.frames - 1 - number
        moved = np.roll(picture, (-still * params.down, -still * params.right), (0, 1))
        frame = av.VideoFrame.from_ndarray(to_yuv(moved), format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def to_yuv(picture: Picture) -> npt.NDArray[np.uint8]:
    """(H * 3/2, W) planes of 4:2:0, rounded to the nearest level: FFmpeg's quick way is a level darker."""
    height, width = picture.shape[:2]
    planes = cv2.transform(picture, YUV)
    chroma = cv2.resize(planes[..., 1:], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    parts = (planes[..., 0].ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel())
    return np.asarray(np.concatenate(parts).round().reshape(height * 3 // 2, width), np.uint8)


def from_yuv(planes: npt.NDArray[np.uint8]) -> Picture:
    """The picture of `to_yuv`'s planes."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    chroma = planes[height:].reshape(2, height // 2, width // 2).transpose(1, 2, 0)
    wide = cv2.resize(chroma.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    whole = np.dstack([planes[:height].astype(np.float32), wide])
    return np.asarray(np.clip(cv2.transform(whole, RGB), 0, 1), np.float32)
