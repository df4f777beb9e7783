"""From the planes a decoder gives to the RGB a network reads, and back, with the picture's matrix and range.

The exact paths of swscale are slower than its quick ones (4 ms against 0.3 ms for 1280x720) and worth it: the
quick ones are a level off on the average, so that a picture nothing was done to comes back darker or lighter.
The exact ones give every sample of an 8 or 10-bit picture of limited range back as it was, and of full range
within one level of 8 bits (two of 10).
"""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

from derain.engines.engine import Pixels
from derain.engines.errors import UsageError
from derain.pipeline.frame import Colour
from derain.pipeline.source import StreamInfo

UNSPECIFIED = 2
LIMITED, FULL = 1, 2
HD_HEIGHT = 720
"""Untagged pictures of at least this height are BT.709 to a player, smaller ones BT.601."""

SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""H.273 matrix coefficients -> swscale's number of the same."""
UNKNOWN = {
    8: "YCgCo",
    11: "YDzDx",
    12: "chroma-derived",
    13: "chroma-derived",
    14: "ICtCp",
    15: "IPT-C2",
}

EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
REPEAT = Interpolation.POINT | EXACT | Interpolation.FULL_CHR_H_INT
"""Each chroma sample is repeated for the pixels it covers ..."""
AVERAGE = Interpolation.AREA | EXACT
"""... and is their average on the way back, which undoes the repeating exactly; smooth filters blur colours a
little each time, and by 27 levels at a sharp edge. (Into 16-bit RGB, FULL_CHR_H_INT with a two-tap vertical
filter gives noise in libswscale 9.5; with repeated samples there is none.)"""


def bit_depth(pixel_format: av.VideoFormat) -> int:
    """Bits of a component, 8, 10, ...; the widest where they differ."""
    return max((component.bits for component in pixel_format.components), default=8)


def has_alpha(pixel_format: av.VideoFormat) -> bool:
    """Whether a format carries transparency."""
    return any(component.is_alpha for component in pixel_format.components)


def known_matrix(colour: Colour, height: int) -> int:
    """The H.273 matrix a player would use: the tagged one, else BT.601 below 720 lines and BT.709 from there.

    Raises UsageError for a matrix that the converter has no coefficients of.
    """
    if colour.matrix in SWSCALE_MATRIX:
        return colour.matrix
    if colour.matrix in UNKNOWN:
        raise UsageError(
            f"the video's colour matrix is {UNKNOWN[colour.matrix]} ({colour.matrix} in H.273), but derain "
            "takes only BT.601, BT.709, BT.2020, FCC and SMPTE 240M; convert it first, for example with "
            "ffmpeg -i INPUT -vf scale=out_color_matrix=bt709 OUTPUT"
        )
    return 1 if height >= HD_HEIGHT else 5


def known_range(colour: Colour, pixel_format: str) -> int:
    """The range a player would use: the tagged one, else full for the yuvj formats, limited for the rest."""
    if colour.range in (LIMITED, FULL):
        return colour.range
    return FULL if pixel_format.startswith("yuvj") else LIMITED


class ToRGB:
    """Decoded pictures -> (H, W, 3) RGB, uint8 for 8-bit pictures and uint16 (0..65535) for deeper ones."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._unsited: Unsited | None = None

    def __call__(self, frame: av.VideoFrame, colour: Colour) -> Pixels:
        if self._unsited is None or not self._unsited.takes(frame):
            self._unsited = Unsited(frame)
        frame = self._unsited(frame)
        deep = bit_depth(frame.format) > 8
        matrix = SWSCALE_MATRIX[known_matrix(colour, frame.height)]
        rgb = self._reformatter.reformat(
            frame,
            format="rgb48le" if deep else "rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=FULL if frame.format.is_rgb else known_range(colour, frame.format.name),
            dst_color_range=FULL,
            interpolation=REPEAT,
            threads=1,
        )
        return unpadded(rgb, np.uint16 if deep else np.uint8)


class Unsited:
    """Takes from pictures the note where their chroma lies; the pixels are not touched.

    With it swscale shifts chroma by half a sample on the way to RGB, but not on the way back, which has none.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        self._kind = kind_of(frame)
        self._graph = Graph()
        start = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        note = self._graph.add("setparams", "chroma_location=unspecified")
        start.link_to(note)
        note.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def takes(self, frame: av.VideoFrame) -> bool:
        """Whether `frame` is of the size and format this was made for."""
        return kind_of(frame) == self._kind

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._graph.vpush(frame)
        return self._graph.vpull()


def kind_of(frame: av.VideoFrame) -> tuple[int, int, str]:
    """What pictures must have in common to pass one filter graph."""
    return frame.width, frame.height, frame.format.name


def unpadded(frame: av.VideoFrame, dtype: Any) -> Pixels:
    """The pixels of a packed RGB frame, (H, W, 3), C-contiguous; no copy where its rows have no padding."""
    rows: Pixels = np.frombuffer(memoryview(frame.planes[0]), dtype).reshape(frame.height, -1)
    return np.ascontiguousarray(rows[:, : frame.width * 3]).reshape(frame.height, frame.width, 3)


def written_colour(info: StreamInfo, pixel_format: str) -> Colour:
    """The tags of an output in `pixel_format`: the input's own, unspecified where they were.

    Only where pictures go from RGB to YUV or back must the matrix be said anew.
    """
    rgb_in = av.VideoFormat(info.pixel_format, 2, 2).is_rgb
    rgb_out = av.VideoFormat(pixel_format, 2, 2).is_rgb
    colour = info.colour
    if rgb_out:
        return replace(colour, matrix=0, range=FULL)
    if rgb_in:
        colour = replace(colour, matrix=1 if info.height >= HD_HEIGHT else 6, range=LIMITED)
    full = info.pixel_format.startswith("yuvj") or pixel_format.startswith("yuvj")
    return replace(colour, range=FULL) if full else colour


class FromRGB:
    """(H, W, 3) RGB, uint8 or uint16 -> pictures of `pixel_format` for an encoder, coloured as `colour` says.

    `height`: of the input, which decides how untagged pictures are read, and so how they are written.
    """

    def __init__(self, pixel_format: str, colour: Colour, height: int) -> None:
        self._format = av.VideoFormat(pixel_format, 2, 2)
        self._matrix = SWSCALE_MATRIX[known_matrix(colour, height)]
        self._range = FULL if self._format.is_rgb else known_range(colour, pixel_format)
        self._reformatter = VideoReformatter()

    def __call__(self, pixels: Pixels) -> av.VideoFrame:
        deep = pixels.dtype == np.uint16
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb48le" if deep else "rgb24")
        return self._reformatter.reformat(
            rgb,
            format=self._format.name,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=FULL,
            dst_color_range=self._range,
            interpolation=AVERAGE,
            threads=1,
        )
