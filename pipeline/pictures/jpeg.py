"""JPEG files: the header, and metadata put into what an encoder made."""

import logging
import struct
from collections.abc import Iterator

from derain.pipeline.pictures.metadata import Header, Metadata, PictureError

EXIF, XMP, ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
"""What the segments that carry them begin with."""
APP0, APP1, APP2, SCAN = 0xE0, 0xE1, 0xE2, 0xDA
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segment that has the size of the picture."""
MOST = 65533
"""Bytes a segment can hold."""

log = logging.getLogger(__name__)


def inspect(data: bytes) -> Header:
    """Reads the header; raises PictureError where the file is broken, cut short or of an unusual kind."""
    frame, app0 = None, b""
    exif, xmp, profile = b"", b"", dict[int, bytes]()
    for marker, start, body in _segments(data):
        if marker in FRAMES:
            frame = body
        elif marker == APP0 and body[:5] == b"JFIF\0":
            app0 = body
        elif marker == APP1 and body.startswith(EXIF):
            exif = body[len(EXIF) :]
        elif marker == APP1 and body.startswith(XMP):
            xmp = body[len(XMP) :]
        elif marker == APP2 and body.startswith(ICC) and len(body) > 14:
            profile[body[12]] = body[14:]
        elif marker == SCAN:
            _check_end(data, start)
    if frame is None or len(frame) < 6:
        raise PictureError("has no picture in it")
    icc = b"".join(profile[number] for number in sorted(profile))
    return _header(frame, Metadata(exif, icc, xmp, _dpi(app0)))


def insert(encoded: memoryview, metadata: Metadata) -> Iterator[bytes | memoryview]:
    """Yields the bytes of an encoded picture with `metadata` put into it."""
    place = 2
    if bytes(encoded[2:4]) == b"\xff\xe0":
        place += 2 + int.from_bytes(encoded[4:6], "big")
    yield b"\xff\xd8" + _segment(APP0, _jfif(metadata.dpi))
    for name, mark, content in (("EXIF", EXIF, metadata.exif), ("XMP", XMP, metadata.xmp)):
        if len(mark) + len(content) > MOST:
            log.warning("the %s metadata has %d bytes, more than JPEG holds: left out", name, len(content))
        elif content:
            yield _segment(APP1, mark + content)
    room = MOST - len(ICC) - 2
    parts = [metadata.icc[at : at + room] for at in range(0, len(metadata.icc), room)]
    for number, part in enumerate(parts, 1):
        yield _segment(APP2, ICC + bytes((number, len(parts))) + part)
    yield encoded[place:]


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields (marker, place of the body, body) up to the first scan of pixels."""
    place, marker = 2, 0
    while marker != SCAN:
        if place + 4 > len(data) or data[place] != 0xFF:
            raise PictureError("is cut short or broken in its header")
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        yield marker, place + 4, data[place + 4 : place + 2 + length]
        place += 2 + length


def _check_end(data: bytes, scan: int) -> None:
    """Decoders fill what is missing of a file with grey and say nothing, so look for the end marker."""
    if data.find(b"\xff\xd9", scan) < 0:
        raise PictureError("is cut short: the end of the picture is missing")


def _header(frame: bytes, metadata: Metadata) -> Header:
    bits, height, width, channels = struct.unpack(">BHHB", frame[:6])
    if bits != 8:
        raise PictureError(f"has {bits} bits a sample; of JPEG derain takes 8")
    if channels not in (1, 3):
        raise PictureError(f"has {channels} channels (CMYK has 4); of JPEG derain takes grey and colour")
    return Header(width, height, channels, 8, metadata)


def _dpi(app0: bytes) -> tuple[float, float] | None:
    if len(app0) < 12 or app0[7] not in (1, 2):
        return None
    across, down = struct.unpack(">HH", app0[8:12])
    scale = 1.0 if app0[7] == 1 else 2.54
    return (across * scale, down * scale) if across and down else None


def _jfif(dpi: tuple[float, float] | None) -> bytes:
    unit, across, down = (0, 1, 1) if dpi is None else (1, *(min(max(round(n), 1), 65535) for n in dpi))
    return struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, unit, across, down, 0, 0)


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body
