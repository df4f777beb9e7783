"""TIFF files: the header, the decoding by FFmpeg, and a writer.

FFmpeg reads them because OpenCV turns some by their orientation, multiplies others by their alpha channel and
mistakes 16 bit grey with alpha for 8 bit grey.
"""

import logging
import struct
import zlib
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.pictures import exif
from derain.pipeline.pictures.exif import LONG, RATIONAL, SHORT, UNDEFINED, Directory, Order, Value
from derain.pipeline.pictures.metadata import Header, Metadata, PictureError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, EXTRA = 256, 257, 258, 259, 262, 277, 338
OFFSETS, ROWS_A_STRIP, LENGTHS, PREDICTOR, TILE_WIDTH, FORMAT = 273, 278, 279, 317, 322, 339
ACROSS, DOWN, UNIT, XMP, PROFILE = 282, 283, 296, 700, 34675
CARRIED = (270, 271, 272, 274, 305, 306, 315, 316, 33432, 34665, 34853)
"""Tags of the first directory that TIFF and EXIF share: the camera, the orientation, the time, the maker."""
GREY, COLOURS, PALETTE = (0, 1), (2, 6), 3
"""Photometric interpretations derain takes; 6 is YCbCr."""
ADOBE_DEFLATE, HORIZONTAL = 8, 2
STRIP = 1 << 20
"""Bytes of pixels in a strip, about."""
MOST_PIXELS = (1 << 28) - 1
"""What FFmpeg decodes, a margin around the picture included."""
MOST = 0xFFFFFFFF
"""Bytes that a TIFF's 32-bit places reach."""

log = logging.getLogger(__name__)

DECODED = {
    (1, 8): "gray",
    (1, 16): "gray16le",
    (2, 8): "ya8",
    (2, 16): "ya16le",
    (3, 8): "rgb24",
    (3, 16): "rgb48le",
    (4, 8): "rgba",
    (4, 16): "rgba64le",
}
"""FFmpeg's names of the pixels, by channels and bits."""


def inspect(data: bytes) -> Header:
    """Reads the header; raises PictureError where the file is broken or of a kind derain does not take."""
    if data[:4] in (b"II+\0", b"MM\0+"):
        raise PictureError("is a BigTIFF; derain takes TIFF of up to 4 GiB")
    order, tags, following = exif.parse(data)
    if following and not _number(exif.directory_at(data, order, following)[0], order, 254, 0) & 1:
        raise PictureError("has several pages; derain image takes single pictures")
    if TILE_WIDTH in tags:
        raise PictureError("is stored in tiles, which derain can't read; store it in strips")
    width, height = _number(tags, order, WIDTH, 0), _number(tags, order, HEIGHT, 0)
    if not width or not height:
        raise PictureError("has no picture in it")
    if (width + 128) * (height + 128) > MOST_PIXELS:
        raise PictureError(f"has {width}x{height} pixels; of TIFF derain reads {MOST_PIXELS:,} at most")
    return Header(width, height, _channels(tags, order), _bits(tags, order), _metadata(tags, order))


def decode(data: bytes, header: Header) -> Pixels:
    """The pixels (H, W, channels), uint8 or uint16, in stored orientation."""
    context = av.CodecContext.create("tiff", "r")
    frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    frame = frames[0] if frames else None
    if not isinstance(frame, av.VideoFrame):
        raise PictureError("is broken: its pixels can't be decoded")
    name = DECODED[header.channels, header.bits]
    if frame.format.name != name:
        frame = frame.reformat(format=name)
    rows = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(-1, frame.planes[0].line_size)
    wide = frame.width * header.channels * header.bits // 8
    pixels = np.ascontiguousarray(rows[: frame.height, :wide]).view(f"<u{header.bits // 8}")
    return pixels.reshape(frame.height, frame.width, header.channels)


def write(file: BinaryIO, pixels: Pixels, metadata: Metadata) -> None:
    """Writes `pixels`, (H, W, 1 grey, 2 grey and alpha, 3 RGB or 4 RGB and alpha), losslessly compressed."""
    order: Order = "<"
    tags: Directory = {}
    try:
        order, carried, _ = exif.parse(metadata.exif)
        tags = {tag: carried[tag] for tag in CARRIED if tag in carried}
    except PictureError as error:
        if metadata.exif:
            log.warning("the EXIF metadata %s: left out", error)
    file.write((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    strips = _write_strips(file, pixels, order)
    tags |= _picture_tags(pixels, strips, order, metadata.premultiplied)
    tags |= _told_tags(metadata, order)
    place = file.tell() + file.tell() % 2
    if place > MOST - (1 << 24):
        raise PictureError("would be larger than the 4 GiB that TIFF holds; write PNG")
    file.seek(place)
    file.write(exif.serialise(tags, order, place))
    file.seek(4)
    file.write(struct.pack(f"{order}I", place))


def _write_strips(file: BinaryIO, pixels: Pixels, order: Order) -> list[tuple[int, int]]:
    """Writes the pixels, each as its difference to the one before; gives (place, length) of each strip."""
    strips = []
    rows = rows_a_strip(pixels)
    for top in range(0, len(pixels), rows):
        part = pixels[top : top + rows]
        differences = part.copy()
        differences[:, 1:] -= part[:, :-1]
        ordered = differences.astype(differences.dtype.newbyteorder(order), copy=False)
        place = file.tell()
        strips.append((place, file.write(zlib.compress(ordered.tobytes(), 4))))
    return strips


def rows_a_strip(pixels: Pixels) -> int:
    """Rows of (H, W, channels) pixels that make a strip."""
    row: int = pixels[0].nbytes
    return max(1, STRIP // row)


def _picture_tags(
    pixels: Pixels, strips: list[tuple[int, int]], order: Order, premultiplied: bool
) -> dict[int, Value]:
    height, width, channels = pixels.shape
    bits = [8 * pixels.dtype.itemsize] * channels
    tags = {
        WIDTH: exif.integers(order, LONG, width),
        HEIGHT: exif.integers(order, LONG, height),
        BITS: exif.integers(order, SHORT, *bits),
        COMPRESSION: exif.integers(order, SHORT, ADOBE_DEFLATE),
        PHOTOMETRIC: exif.integers(order, SHORT, 1 if channels < 3 else 2),
        OFFSETS: exif.integers(order, LONG, *(place for place, _ in strips)),
        SAMPLES: exif.integers(order, SHORT, channels),
        ROWS_A_STRIP: exif.integers(order, LONG, rows_a_strip(pixels)),
        LENGTHS: exif.integers(order, LONG, *(length for _, length in strips)),
        PREDICTOR: exif.integers(order, SHORT, HORIZONTAL),
    }
    if channels in (2, 4):
        tags[EXTRA] = exif.integers(order, SHORT, 1 if premultiplied else 2)
    return tags


def _told_tags(metadata: Metadata, order: Order) -> dict[int, Value]:
    tags = {}
    if metadata.icc:
        tags[PROFILE] = Value(UNDEFINED, len(metadata.icc), metadata.icc)
    if metadata.xmp:
        tags[XMP] = Value(exif.BYTE, len(metadata.xmp), metadata.xmp)
    if metadata.dpi is not None:
        for tag, number in zip((ACROSS, DOWN), metadata.dpi, strict=True):
            ratio = Fraction(number).limit_denominator(10000)
            tags[tag] = Value(RATIONAL, 1, struct.pack(f"{order}2I", ratio.numerator, ratio.denominator))
        tags[UNIT] = exif.integers(order, SHORT, 2)
    return tags


def _number(tags: Directory, order: Order, tag: int, default: int) -> int:
    """The first number of an integer tag."""
    value = tags.get(tag)
    numbers: tuple[int, ...] = value.numbers(order) if isinstance(value, Value) else ()
    return numbers[0] if numbers else default


def _channels(tags: Directory, order: Order) -> int:
    kind, samples = _number(tags, order, PHOTOMETRIC, 1), _number(tags, order, SAMPLES, 1)
    if kind == PALETTE and samples == 1:
        return 3
    if (kind in GREY and samples in (1, 2)) or (kind in COLOURS and samples in (3, 4)):
        return samples
    raise PictureError(
        f"has {samples} channels of TIFF's colour kind {kind}; derain takes grey, RGB and palettes, and alpha"
    )


def _bits(tags: Directory, order: Order) -> int:
    bits, numbers = _number(tags, order, BITS, 1), _number(tags, order, FORMAT, 1)
    if numbers != 1 or bits not in (1, 2, 4, 8, 16):
        kind = {1: "unsigned", 2: "signed", 3: "floating-point"}.get(numbers, "unknown")
        raise PictureError(f"has {kind} samples of {bits} bits; derain takes unsigned ones of 8 and 16")
    return 16 if bits == 16 and _number(tags, order, PHOTOMETRIC, 1) != PALETTE else 8


def _metadata(tags: Directory, order: Order) -> Metadata:
    carried = {tag: tags[tag] for tag in CARRIED if tag in tags}
    told = exif.block(carried, order) if carried else b""
    icc, xmp = (value.raw if isinstance(value := tags.get(tag), Value) else b"" for tag in (PROFILE, XMP))
    premultiplied = _number(tags, order, EXTRA, 2) == 1
    return Metadata(told, icc, xmp, _dpi(tags, order), premultiplied=premultiplied)


def _dpi(tags: Directory, order: Order) -> tuple[float, float] | None:
    across, down = tags.get(ACROSS), tags.get(DOWN)
    unit = _number(tags, order, UNIT, 2)
    if not isinstance(across, Value) or not isinstance(down, Value) or unit not in (2, 3):
        return None
    scale = 1.0 if unit == 2 else 2.54
    numbers = [number * scale for value in (across, down) for number in value.ratios(order)[:1]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 and all(numbers) else None
