"""Webcams, through OpenCV: by number, by device, and by a name that stays when they are unplugged."""

import os
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.pipeline.frame import Colour
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.out import Out
from derain.pipeline.sources.telling import Facts, Opened, Over, Task, Why

NAMES = Path("/dev/v4l")
"""Where Linux keeps names of cameras that stay: by-id after the camera itself, by-path after its socket."""
BASE = Fraction(1, 1_000_000)


def read(task: Task, out: Out) -> Over:
    """Reads from a camera until it is unplugged, or goes silent."""
    cv2.setNumThreads(1)
    device = device_of(task.address.url)
    camera = open_camera(device, task.options)
    try:
        return take(camera, task, out, lasting_name(device))
    finally:
        camera.release()


def take(camera: Any, task: Task, out: Out, device: str) -> Over:
    """Frames of an open camera. Each is as old as the moment at which OpenCV gave it."""
    first, count, shape = 0.0, 0, None
    while not out.stopped.is_set():
        if not camera.grab():
            return Over(Why.LOST, "the camera gives no pictures (any more); it is unplugged or stuck")
        arrived = time.monotonic()
        whole, picture = camera.retrieve()
        if not whole or picture is None:
            continue
        pixels = as_rgb(picture)
        if pixels.shape != shape:
            first, shape = arrived if shape is None else first, pixels.shape
            tell(out, camera, pixels, task.options, device)
        count += 1
        pts = round((arrived - first) / BASE)
        out.frame(pixels, Facts(pts, BASE, 0, Colour(), False, arrived, (count, 0)))
    return Over(Why.LOST, "it was stopped")


def as_rgb(picture: Any) -> Pixels:
    """A picture of OpenCV's as (H, W, 3) RGB."""
    code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(picture, code))


def device_of(url: str) -> str:
    """The device of a camera that may be named by its number, where there are devices."""
    return f"/dev/video{url}" if url.isdigit() and sys.platform == "linux" else url


def lasting_name(device: str, names: Path = NAMES, devices: str = "/dev") -> str:
    """A name by which a camera is found again, whatever its number is then; `device` where it has none."""
    if not device.startswith(f"{devices}/video"):
        return device
    for folder in ("by-id", "by-path"):
        for name in sorted((names / folder).glob("*")):
            if name.resolve() == Path(device).resolve():
                return str(name)
    return device


def open_camera(device: str, options: SourceOptions) -> Any:
    """The camera, asked for what is wanted of it. Raises DerainError where it can't be had."""
    check(device)
    camera = cv2.VideoCapture(int(device) if device.isdigit() else device, backend())
    if not camera.isOpened():
        camera.release()
        raise DerainError("the camera can't be opened: another program uses it, or it gives no pictures")
    for name, value in wanted(options):
        camera.set(name, value)
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return camera


def backend() -> int:
    """OpenCV's for cameras of this system; the one on Linux takes devices by name."""
    return int(cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)


def check(device: str) -> None:
    """Raises DerainError where a device is not there or not ours, which OpenCV does not tell."""
    if device.isdigit():
        return
    path = Path(device)
    if not path.exists():
        there = ", ".join(str(one) for one in sorted(Path("/dev").glob("video*"))) or "none"
        raise DerainError(f"there is no camera {device} (cameras here: {there})")
    if not os.access(path, os.R_OK | os.W_OK):
        raise DerainError(
            f"you may not open {device}; add yourself to its group, most often with "
            "sudo usermod -aG video $USER, and log in again"
        )


def wanted(options: SourceOptions) -> list[tuple[int, float]]:
    """OpenCV's properties for what is asked for; the format first, which sizes and rates hang on."""
    asked: list[tuple[int, float]] = []
    if options.fourcc is not None:
        asked.append((cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*options.fourcc))))
    if options.size is not None:
        asked += [(cv2.CAP_PROP_FRAME_WIDTH, options.size[0]), (cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])]
    if options.rate is not None:
        asked.append((cv2.CAP_PROP_FPS, float(options.rate)))
    return asked


def tell(out: Out, camera: Any, pixels: Pixels, options: SourceOptions, device: str) -> None:
    """Tells what the camera gives, and where that is not what was asked for."""
    height, width = pixels.shape[:2]
    fourcc = fourcc_of(camera.get(cv2.CAP_PROP_FOURCC))
    rate = camera.get(cv2.CAP_PROP_FPS)
    info = StreamInfo(
        width,
        height,
        BASE,
        average_rate=Fraction(rate).limit_denominator(1001) if rate > 0 else None,
        codec=fourcc,
        pixel_format="bgr24",
    )
    out.opened(Opened(info, device=device))
    out.noted(note(options, (width, height), rate, fourcc))


def note(options: SourceOptions, size: tuple[int, int], rate: float, fourcc: str) -> str:
    """What was asked for and what was given, where they are not the same."""
    asked, given = [], []
    if options.size not in (None, size):
        asked.append(f"{options.size[0]}x{options.size[1]}")
        given.append(f"{size[0]}x{size[1]}")
    if options.rate is not None and abs(float(options.rate) - rate) > 0.01:
        asked.append(f"{float(options.rate):g} frames a second")
        given.append(f"{rate:g} frames a second" if rate > 0 else "no word of its rate")
    if options.fourcc is not None and options.fourcc.upper() != fourcc.upper():
        asked.append(options.fourcc)
        given.append(fourcc or "no word of its format")
    return f"the camera was asked for {', '.join(asked)} and gives {', '.join(given)}" if asked else ""


def fourcc_of(value: float) -> str:
    """The four characters in OpenCV's number; "" for none."""
    text = int(max(value, 0)).to_bytes(8, "little")[:4].decode("ascii", "replace")
    return text.strip("\0 ") if text.isprintable() else ""
