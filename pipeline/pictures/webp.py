"""WebP files: the header, and metadata put into what an encoder made."""

import struct
from collections.abc import Iterator

from derain.pipeline.pictures.metadata import Header, Metadata, PictureError

ALPHA, ANIMATION, HAS_ICC, HAS_EXIF, HAS_XMP = 0x10, 0x02, 0x20, 0x08, 0x04
"""Flags of the chunk VP8X."""
MOST_SIDE = 16383
"""Pixels a side that the format holds."""


def inspect(data: bytes) -> Header:
    """Reads the header; raises PictureError where the file is broken, cut short or animated."""
    chunks: dict[bytes, memoryview] = {}
    for kind, body in _chunks(memoryview(data)):
        chunks.setdefault(kind, body)
    if b"ANIM" in chunks:
        raise PictureError("is an animation; derain image takes still pictures")
    width, height, alpha = _size(chunks)
    exif = bytes(chunks.get(b"EXIF", b"")).removeprefix(b"Exif\0\0")
    metadata = Metadata(exif, bytes(chunks.get(b"ICCP", b"")), bytes(chunks.get(b"XMP ", b"")))
    return Header(width, height, 4 if alpha else 3, 8, metadata)


def insert(encoded: memoryview, metadata: Metadata) -> Iterator[bytes | memoryview]:
    """Yields the bytes of an encoded picture with `metadata` put into it."""
    if not (metadata.exif or metadata.icc or metadata.xmp):
        yield encoded
        return
    chunks = dict(_chunks(encoded))
    width, height, alpha = _size(chunks)
    flags = ALPHA if alpha else 0
    flags |= HAS_ICC if metadata.icc else 0
    flags |= HAS_EXIF if metadata.exif else 0
    flags |= HAS_XMP if metadata.xmp else 0
    extended = (
        struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    pixels = [(kind, body) for kind, body in chunks.items() if kind in (b"ALPH", b"VP8 ", b"VP8L")]
    texts = [(b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)]
    parts: list[tuple[bytes, bytes | memoryview]]
    parts = [(b"VP8X", extended), (b"ICCP", metadata.icc), *pixels, *texts]
    parts = [(kind, body) for kind, body in parts if len(body)]
    total = 4 + sum(8 + len(body) + len(body) % 2 for _, body in parts)
    yield b"RIFF" + struct.pack("<I", total) + b"WEBP"
    for kind, body in parts:
        yield kind + struct.pack("<I", len(body))
        yield body
        yield bytes(len(body) % 2)


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    place = 12
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise PictureError("is cut short: the end of the picture is missing")
    while place + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _size(chunks: dict[bytes, memoryview]) -> tuple[int, int, bool]:
    """Width, height and whether there is an alpha channel."""
    if len(body := chunks.get(b"VP8X", b"")) >= 10:
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        return width, height, bool(body[0] & ALPHA)
    if len(body := chunks.get(b"VP8L", b"")) >= 5:
        packed = int.from_bytes(body[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, bool(packed >> 28 & 1)
    if len(body := chunks.get(b"VP8 ", b"")) >= 10:
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return width, height, False
    raise PictureError("has no picture in it")
