"""HDR descriptions on their way into an encoder: from FFmpeg's bytes to the words each encoder takes."""

import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

log = logging.getLogger(__name__)

MASTERING = "MASTERING_DISPLAY_METADATA"
LIGHT = "CONTENT_LIGHT_LEVEL"


@dataclass(frozen=True)
class Mastering:
    """The display a video was graded on: (x, y) of red, green, blue and white, luminance in cd/m2."""

    primaries: tuple[tuple[Fraction, Fraction], ...] | None
    luminance: tuple[Fraction, Fraction] | None


def mastering(data: bytes) -> Mastering:
    """Reads FFmpeg's AVMasteringDisplayMetadata: ten rationals, then what of them is known."""
    numbers = struct.unpack("=22i", data[:88])
    values = [Fraction(n, d or 1) for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
    points = tuple((values[i], values[i + 1]) for i in range(0, 8, 2))
    return Mastering(points if numbers[20] else None, (values[8], values[9]) if numbers[21] else None)


def light_level(data: bytes) -> tuple[int, int]:
    """Reads FFmpeg's AVContentLightMetadata: the brightest pixel and the brightest average, in cd/m2."""
    brightest, average = struct.unpack("=2I", data[:8])
    return brightest, average


def encoder_words(codec: str, side_data: Mapping[str, bytes]) -> dict[str, str]:
    """The parameters with which `codec` writes `side_data`, empty where there is none.

    Codecs that can't are told of in the log.
    """
    if not side_data:
        return {}
    names = {"libx264": ("mastering-display", "cll"), "libx265": ("master-display", "max-cll")}
    names["libsvtav1"] = ("mastering-display", "content-light")
    if codec not in names:
        log.warning("%s can't carry the HDR description of the input; the output lacks it", codec)
        return {}
    words = {}
    if MASTERING in side_data:
        told = told_to_svt if codec == "libsvtav1" else told_to_x26x
        display = told(mastering(side_data[MASTERING]))
        words.update({names[codec][0]: display} if display else {})
    if LIGHT in side_data:
        words[names[codec][1]] = "{},{}".format(*light_level(side_data[LIGHT]))
    return words


def told_to_x26x(display: Mastering) -> str:
    """In x264's and x265's units: 0.00002 for chromaticity, 0.0001 cd/m2."""
    if display.primaries is None or display.luminance is None:
        return ""
    red, green, blue, white = [(round(x * 50000), round(y * 50000)) for x, y in display.primaries]
    low, high = (round(value * 10000) for value in display.luminance)
    points = "".join(f"{n}({x},{y})" for n, (x, y) in zip("GBR", (green, blue, red), strict=True))
    return f"{points}WP({white[0]},{white[1]})L({high},{low})"


def told_to_svt(display: Mastering) -> str:
    """In SVT-AV1's plain decimals."""
    if display.primaries is None or display.luminance is None:
        return ""
    red, green, blue, white = display.primaries
    named = zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
    points = "".join(f"{n}({float(x):.5f},{float(y):.5f})" for n, (x, y) in named)
    return f"{points}L({float(display.luminance[1]):.4f},{float(display.luminance[0]):.4f})"
