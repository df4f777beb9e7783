"""The planes that kernels make of restored RGB, for an encoder on the host."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from derain.engines.engine import Pixels
from derain.pipeline.gpu.convert import FromRGBArgument
from derain.pipeline.gpu.numbers import from_rgb_numbers

PLANAR = {
    "yuv420p": (2, 8),
    "yuv444p": (1, 8),
    "yuv420p10le": (2, 10),
    "yuv444p10le": (1, 10),
    "yuv420p12le": (2, 12),
    "yuv444p12le": (1, 12),
}
"""Pixel formats the kernels make: the pixels a chroma sample stands for, a side, and the bits of a sample."""
PACKED = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
"""Those whose samples are these in another order."""


@dataclass(frozen=True)
class Planes:
    """Pictures of `width` x `height` for an encoder that takes `pixel_format`.

    `matrix`: swscale's number. `full`: of full range. Where chroma is of 2x2 pixels, both sizes are even.
    """

    pixel_format: str
    width: int
    height: int
    matrix: int
    full: bool

    @property
    def side(self) -> int:
        """Pixels a sample of chroma stands for, along each axis."""
        return PLANAR[self._planar][0]

    @property
    def bits(self) -> int:
        """Of a sample."""
        return PLANAR[self._planar][1]

    @property
    def samples(self) -> int:
        """In all three planes."""
        return sum(height * width for height, width in self._shapes)

    @property
    def _planar(self) -> str:
        return PACKED.get(self.pixel_format, self.pixel_format)

    @property
    def _shapes(self) -> Sequence[tuple[int, int]]:
        chroma = (self.height // self.side, self.width // self.side)
        return (self.height, self.width), chroma, chroma

    def argument(self, rgb: int, padded_width: int, planes: int) -> FromRGBArgument:
        """What `from_rgb` needs to put RGB at the address `rgb`, whose rows have `padded_width` pixels, as
        planes one behind the other to the address `planes`."""
        numbers = from_rgb_numbers(self.matrix, self.full, self.bits)
        bytes_each = 1 if self.bits == 8 else 2
        sizes = [height * width * bytes_each for height, width in self._shapes]
        return FromRGBArgument(
            *(rgb, planes, planes + sizes[0], planes + sizes[0] + sizes[1]),
            *(self.width, self.height, padded_width, self.side, self.bits),
            numbers.y_weights,
            numbers.u_weights,
            numbers.v_weights,
            *(numbers.luma_scale, numbers.luma_offset, numbers.chroma_scale, numbers.chroma_offset),
        )

    def picture(self, samples: Pixels) -> VideoFrame:
        """The encoder's picture of (`samples`,) uint8 or uint16, which are copied."""
        frame = VideoFrame(self.width, self.height, self._planar)
        begin = 0
        for plane, (height, width) in zip(frame.planes, self._shapes, strict=True):
            rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(height, -1)
            rows[:, :width] = samples[begin : begin + height * width].reshape(height, width)
            begin += height * width
        if self._planar == self.pixel_format:
            return frame
        return VideoReformatter().reformat(frame, format=self.pixel_format)


def why_not(pixel_format: str, size: tuple[int, int], deep: bool) -> str:
    """Why the kernels can't make pictures of `pixel_format` and `size` (width, height) from RGB of 8 bits
    or, `deep`, of 16; "" where they can."""
    side, bits = PLANAR.get(PACKED.get(pixel_format, pixel_format), (0, 0))
    if not side:
        return f"the encoder takes {pixel_format} pictures, which the kernels do not make"
    if deep != (bits > 8):
        return f"the encoder's {pixel_format} is not as deep as the input"
    if size[0] % side or size[1] % side:
        return f"{size[0]}x{size[1]} is odd, and the encoder's {pixel_format} halves it"
    return ""
