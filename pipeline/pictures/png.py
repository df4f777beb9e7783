"""PNG files: the header, metadata put into what an encoder made, and the one kind OpenCV does not write."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from derain.engines.engine import Pixels
from derain.pipeline.pictures.metadata import Header, Metadata, PictureError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""Channels by PNG's colour type; a palette becomes colours."""
KEPT = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tEXt", b"zTXt", b"iTXt")
"""Chunks of colour and text that are copied as they are."""
INCH = 0.0254
MOST_PROFILE = 1 << 24
ROWS = 64


def inspect(data: bytes) -> Header:
    """Reads the header; raises PictureError where the file is broken, cut short or animated."""
    chunks: dict[bytes, bytes] = {}
    kept = []
    for kind, body in _chunks(data):
        if kind == b"acTL":
            raise PictureError("is an animation; derain image takes still pictures")
        if kind == b"iTXt" and body[: len(XMP)] == XMP:
            chunks[b"XMP"] = body[len(XMP) :]
        elif kind in KEPT:
            kept.append((kind, body))
        else:
            chunks.setdefault(kind, body)
    if b"IHDR" not in chunks or len(chunks[b"IHDR"]) != 13:
        raise PictureError("has no header in it")
    width, height, bits, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    if colour not in CHANNELS:
        raise PictureError(f"has the colour type {colour}, which PNG does not define")
    channels = CHANNELS[colour] + (1 if b"tRNS" in chunks else 0)
    exif, xmp = chunks.get(b"eXIf", b""), chunks.get(b"XMP", b"")
    metadata = Metadata(exif, _profile(chunks.get(b"iCCP", b"")), xmp, _dpi(chunks), tuple(kept))
    return Header(width, height, channels, 16 if bits == 16 else 8, metadata)


def insert(encoded: memoryview, metadata: Metadata) -> Iterator[bytes | memoryview]:
    """Yields the bytes of an encoded picture with `metadata` put into it, before its pixels."""
    header = len(SIGNATURE) + 12 + 13
    yield encoded[:header]
    if metadata.icc:
        yield chunk(b"iCCP", b"icc\0\0" + zlib.compress(metadata.icc))
    for kind, body in metadata.png_chunks:
        yield chunk(kind, body)
    if metadata.dpi is not None:
        across, down = (round(number / INCH) for number in metadata.dpi)
        yield chunk(b"pHYs", struct.pack(">IIB", across, down, 1))
    if metadata.exif:
        yield chunk(b"eXIf", metadata.exif)
    if metadata.xmp:
        yield chunk(b"iTXt", XMP + metadata.xmp)
    yield encoded[header:]


def encode_grey_alpha(pixels: Pixels) -> bytes:
    """A PNG of (H, W, 2) grey and alpha, uint8 or uint16."""
    height, width, channels = pixels.shape
    size = pixels.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, 8 * size, 4, 0, 0, 0)
    packer, packed = zlib.compressobj(3), []
    for top in range(0, height, ROWS):
        rows = pixels[top : top + ROWS].astype(pixels.dtype.newbyteorder(">")).view(np.uint8)
        rows = rows.reshape(len(rows), -1)
        filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = 1  # each byte is told as its difference to the pixel before
        filtered[:, 1:] = rows
        filtered[:, 1 + size * channels :] -= rows[:, : -size * channels]
        packed.append(packer.compress(filtered.tobytes()))
    packed.append(packer.flush())
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"".join(packed)) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """The bytes of a chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (kind, body) of each chunk, without the pixels."""
    place, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            raise PictureError("is cut short: the end of the picture is missing")
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind != b"IDAT":
            yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length


def _profile(iccp: bytes) -> bytes:
    name, _, rest = iccp.partition(b"\0")
    if not name or not rest:
        return b""
    try:
        return zlib.decompressobj().decompress(rest[1:], MOST_PROFILE)
    except zlib.error as error:
        raise PictureError("has a broken colour profile") from error


def _dpi(chunks: dict[bytes, bytes]) -> tuple[float, float] | None:
    body = chunks.get(b"pHYs", b"")
    if len(body) != 9 or body[8] != 1:
        return None
    across, down = struct.unpack(">II", body[:8])
    return (across * INCH, down * INCH) if across and down else None
