"""The pictures that viewers get: both halves of a frame in one, so that they can't come apart."""

import json
import struct
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.pipeline.compare import altered
from derain.pipeline.live.seam import Shown

Overlay: TypeAlias = Literal["none", "attention", "altered"]
Layout: TypeAlias = Literal["pair", "restored", "rainy", "side"]
Coding: TypeAlias = Literal["jpeg", "png"]
Picture: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""

OVERLAYS: tuple[Overlay, ...] = get_args(Overlay)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
SIZES = {"tile": (480, 480), "full": (1920, 1920)}
"""Width and height that a picture of each size fits in; frames are never made larger."""
QUALITY = {"tile": 75, "full": 85}
BLOCK = 16
"""Rows that coders take together: a half begins with a block of its own, lest one bleed into the other."""
TINTS = {"attention": (160, 90, 0), "altered": (160, 20, 130)}
"""Light that an overlay adds to the picture, which is still to be seen through it."""


@dataclass(frozen=True)
class View:
    """What is to be seen. "pair": rainy above restored, and the overlay below; "side": both side by side."""

    size: str = "full"
    overlay: Overlay = "none"
    layout: Layout = "pair"
    coding: Coding = "jpeg"


@dataclass(frozen=True)
class Stack:
    """Parts of `width` x `height` one above the other, each beginning `pitch` rows below the last."""

    picture: Picture
    width: int
    height: int
    pitch: int
    parts: int


@dataclass(frozen=True)
class Coded:
    """A picture as it is sent. `arrived`: when its frame did. `message`: it, with its `header` in front."""

    stamp: int
    arrived: float
    data: bytes
    header: str = ""
    message: bytes = b""


def made(stamp: int, shown: Shown, view: View) -> Coded:
    """The frame as `view` wants it."""
    arrived = shown.taken.arrived
    if view.layout != "pair":
        return Coded(stamp, arrived, coded(flat(shown, view), view))
    stack = stacked(shown, view)
    data = coded(stack.picture, view)
    head = header(stamp, shown, stack)
    return Coded(stamp, arrived, data, head, with_header(head, data))


def stacked(shown: Shown, view: View) -> Stack:
    """Rainy, restored and, where it is wanted, the overlay. Widths and pitches are even, as video needs."""
    parts = [fitted(pixels, view.size) for pixels in (shown.taken.frame.pixels, shown.restored)]
    height, width = parts[0].shape[:2]
    if view.overlay != "none":
        parts.append(overlay(shown, view.overlay, width, height))
    pitch = -(-height // BLOCK) * BLOCK
    picture = np.empty((len(parts) * pitch, width + width % 2, 3), np.uint8)
    for number, part in enumerate(parts):
        place = picture[number * pitch : (number + 1) * pitch]
        place[:height, :width] = part
        place[height:] = place[height - 1]
        place[:, width:] = place[:, width - 1 : width]
    return Stack(picture, width, height, pitch, len(parts))


def flat(shown: Shown, view: View) -> Picture:
    """One picture for programs that know nothing of pairs."""
    if view.layout == "side":
        halves = [fitted(pixels, view.size) for pixels in (shown.taken.frame.pixels, shown.restored)]
        return np.concatenate(halves, axis=1)
    return fitted(shown.restored if view.layout == "restored" else shown.taken.frame.pixels, view.size)


def fitted(pixels: Pixels, size: str) -> Picture:
    """A frame in 8 bits, and no larger than the size takes."""
    height, width = pixels.shape[:2]
    most_across, most_down = SIZES[size]
    share = min(1.0, most_across / width, most_down / height)
    if share < 1:
        times = int(1 / share)
        if times > 1:  # by a whole number first: that is quick
            pixels = cv2.resize(pixels, (width // times, height // times), interpolation=cv2.INTER_AREA)
        size_there = (max(1, round(width * share)), max(1, round(height * share)))
        pixels = cv2.resize(pixels, size_there, interpolation=cv2.INTER_LINEAR)
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else np.asarray(pixels, np.uint8)


def overlay(shown: Shown, kind: Overlay, width: int, height: int) -> Picture:
    """Where rain is seen, or what was altered: its tint where all of it is, black where nothing is."""
    if kind == "altered":
        mask = altered(shown.taken.frame.pixels, shown.restored)
    elif shown.attention is not None:
        mask = cv2.convertScaleAbs(shown.attention, alpha=255)
    else:
        mask = np.zeros((1, 1), np.uint8)
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    tinted: Picture = cv2.merge([cv2.convertScaleAbs(mask, alpha=light / 255) for light in TINTS[kind]])
    return tinted


def coded(picture: Picture, view: View) -> bytes:
    """The bytes of a JPEG or PNG file."""
    blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY[view.size]] if view.coding == "jpeg" else []
    done, data = cv2.imencode(".jpg" if view.coding == "jpeg" else ".png", blue_first, options)
    if not done:
        raise DerainError(f"OpenCV can't write pictures as {view.coding}, which the page needs")
    return data.tobytes()


def header(stamp: int, shown: Shown, stack: Stack) -> str:
    """What the page knows of a picture, as JSON in ASCII."""
    words = {
        "camera": shown.camera,
        "stamp": stamp,
        "number": shown.taken.number,
        "epoch": shown.taken.epoch,
        "age": round(time.monotonic() - shown.taken.arrived, 4),
        "width": stack.width,
        "height": stack.height,
        "pitch": stack.pitch,
        "parts": stack.parts,
        "attention": shown.attention is not None,
    }
    return json.dumps(words)


def with_header(header: str, data: bytes) -> bytes:
    """The length of the header in four bytes, most significant first; the header; the picture."""
    text = header.encode()
    return struct.pack(">I", len(text)) + text + data


def stub(last: Shown | None, seconds: float) -> bytes:
    """In place of a live picture: the last good one, grey and dark, with the time since, as a JPEG."""
    picture = np.zeros((360, 640, 3), np.uint8) if last is None else fitted(last.restored, "full")
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2
    scale = grey.shape[1] / 640
    at = (round(20 * scale), grey.shape[0] - round(20 * scale))
    words = f"no picture for {seconds:.0f} s"
    cv2.putText(grey, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), max(1, round(2 * scale)))
    return coded(grey, View())
