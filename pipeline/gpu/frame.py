"""Pictures that lie on the card: what Frame is for those on the host."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.video.frame import VideoFrame

from derain.pipeline.frame import Colour


@dataclass(frozen=True)
class Surface:
    """A picture as the card's decoder leaves it: NV12, or P010 and its kin, in the card's memory.

    `luma`, `chroma`: addresses of (height, width) samples Y and of (ceil(height / 2), ceil(width / 2)) pairs
    U, V. `luma_pitch`, `chroma_pitch`: bytes from a row to the next. Samples of 8 bits fill a byte, those of
    `bits` above 8 the upper bits of a little-endian word. `full`: of full range, else limited. `matrix`:
    swscale's number of it. `owner`: whose memory it is; it lives as long as this.
    """

    luma: int
    chroma: int
    luma_pitch: int
    chroma_pitch: int
    width: int
    height: int
    bits: int
    matrix: int
    full: bool
    owner: object


@dataclass
class DeviceFrame:
    """A frame whose picture is on the card; times, colour and the rest as Frame has them.

    `pixels`: what was decoded, and once it was restored, the picture for the encoder, on the host.
    """

    pixels: Surface | VideoFrame
    pts: int | None
    time_base: Fraction
    duration: int = 0
    colour: Colour = field(default_factory=Colour)
    side_data: dict[str, Any] = field(default_factory=dict)
    held: bool = False

    @property
    def restored(self) -> VideoFrame:
        """The picture for the encoder."""
        assert isinstance(self.pixels, VideoFrame), "a surface goes through a CardRestorer first"
        return self.pixels
