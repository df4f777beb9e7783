"""Frames in, restored frames out: sources, tiling, the restoring thread, sinks and the command line.

from derain.pipeline import Derainer

with Derainer() as derainer:
    restored = derainer(pixels)  # (H, W, 3) RGB, uint8 or uint16
    for frame in derainer.video("rainy.mp4"):
        frame.pixels, frame.pts, frame.time_base
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from derain.engines.errors import DerainError, UsageError
    from derain.pipeline.api import Derainer
    from derain.pipeline.frame import Frame
    from derain.pipeline.images import Image, read_image, write_image

__all__ = ["DerainError", "Derainer", "Frame", "Image", "UsageError", "read_image", "write_image"]

_HOMES = {
    "DerainError": "derain.engines.errors",
    "Derainer": "derain.pipeline.api",
    "Frame": "derain.pipeline.frame",
    "Image": "derain.pipeline.images",
    "UsageError": "derain.engines.errors",
    "read_image": "derain.pipeline.images",
    "write_image": "derain.pipeline.images",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: the program starts without OpenCV and FFmpeg."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
