"""What a picture file says about its pixels, apart from the container that says it."""

from dataclasses import dataclass, field

from derain.engines.errors import DerainError


class PictureError(DerainError):
    """A picture file that can't be read; the message is the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class Metadata:
    """What is carried from a picture file to the one made of it.

    `exif`: the TIFF structure of an EXIF block, beginning with II or MM, whose orientation tells viewers how
    to turn the stored pixels. `icc`: colour profile. `xmp`: XML. Each empty where there is none. `dpi`:
    pixels an inch across and down. `png_chunks`: (type, data) of PNG's chunks of colour and text, which only
    PNG holds. `premultiplied`: the colours are multiplied by alpha, as only TIFF says.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    premultiplied: bool = False


@dataclass(frozen=True)
class Header:
    """What a picture file holds, read without decoding it.

    `channels`: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. `bits`: 8 or 16 a sample, once decoded.
    """

    width: int
    height: int
    channels: int
    bits: int
    metadata: Metadata = field(default_factory=Metadata)
