"""The directories of EXIF and TIFF: numbered values, some of which are directories themselves."""

import struct
from dataclasses import dataclass
from typing import Literal, TypeAlias

from derain.pipeline.pictures.metadata import PictureError

Order: TypeAlias = Literal["<", ">"]
"""Byte order, in the letters of `struct`."""

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value by TIFF's number of its type."""
SHORT, LONG, RATIONAL, UNDEFINED, BYTE = 3, 4, 5, 7, 1
POINTERS = {34665: "EXIF", 34853: "GPS", 40965: "interoperability"}
"""Tags whose value is the place of another directory."""
MOST_NESTING = 3


@dataclass(frozen=True)
class Value:
    """`count` values of TIFF's type `kind`, as the file has them, in its byte order."""

    kind: int
    count: int
    raw: bytes

    def numbers(self, order: Order) -> tuple[int, ...]:
        """The values of an integer type; none of any other."""
        letter = {1: "B", 3: "H", 4: "I"}.get(self.kind)
        if letter is None:
            return ()
        numbers: tuple[int, ...] = struct.unpack(f"{order}{self.count}{letter}", self.raw)
        return numbers

    def ratios(self, order: Order) -> tuple[float, ...]:
        """The values of the type RATIONAL, 0 for those over zero; none of any other."""
        if self.kind != RATIONAL:
            return ()
        numbers = struct.unpack(f"{order}{2 * self.count}I", self.raw)
        return tuple(a / b if b else 0.0 for a, b in zip(numbers[::2], numbers[1::2], strict=True))


Directory: TypeAlias = "dict[int, Value | Directory]"


def order_of(data: bytes) -> Order:
    """The byte order of a TIFF structure; raises PictureError where it is none."""
    start = data[:4]
    if start == b"II*\0":
        return "<"
    if start == b"MM\0*":
        return ">"
    raise PictureError("begins neither with II nor with MM, as TIFF and EXIF do")


def parse(data: bytes) -> tuple[Order, Directory, int]:
    """Byte order, first directory with those inside it, and the place of the next (0 for none)."""
    order = order_of(data)
    try:
        (place,) = struct.unpack_from(f"{order}I", data, 4)
    except struct.error as error:
        raise PictureError("ends before its first directory") from error
    return order, *directory_at(data, order, place)


def directory_at(data: bytes, order: Order, place: int) -> tuple[Directory, int]:
    """The directory at `place`, with those inside it, and the place of the next (0 for none)."""
    try:
        return _directory(data, order, place, 0)
    except struct.error as error:
        raise PictureError("has a directory that ends beyond the file") from error


def _directory(data: bytes, order: Order, place: int, depth: int) -> tuple[Directory, int]:
    if depth > MOST_NESTING:
        raise PictureError("has directories inside one another without end")
    (count,) = struct.unpack_from(f"{order}H", data, place)
    directory: Directory = {}
    for index in range(count):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, place + 2 + 12 * index)
        value = _value(data, order, kind, number, place + 10 + 12 * index)
        if tag in POINTERS and value is not None and len(inner := value.numbers(order)) == 1:
            directory[tag] = _directory(data, order, inner[0], depth + 1)[0]
        elif value is not None:
            directory[tag] = value
    (following,) = struct.unpack_from(f"{order}I", data, place + 2 + 12 * count)
    return directory, following


def _value(data: bytes, order: Order, kind: int, count: int, place: int) -> Value | None:
    """The value whose bytes, or whose place, stand at `place`; None for a type that TIFF does not have."""
    size = SIZES.get(kind, 0) * count
    if size == 0:
        return None
    if size > 4:
        (place,) = struct.unpack_from(f"{order}I", data, place)
    raw = data[place : place + size]
    if len(raw) != size:
        raise struct.error
    return Value(kind, count, raw)


def serialise(directory: Directory, order: Order, place: int) -> bytes:
    """The bytes of `directory`, with those inside it, for the even `place` in a file; no other follows it."""
    entries, behind = bytearray(), bytearray()
    start = place + 2 + 12 * len(directory) + 4
    for tag, value in sorted(directory.items()):
        if isinstance(value, dict):
            at = start + len(behind)
            behind += serialise(value, order, at)
            value = Value(LONG, 1, struct.pack(f"{order}I", at))  # noqa: PLW2901
        raw = value.raw
        if len(raw) > 4:
            at = start + len(behind)
            behind += raw + bytes(len(raw) % 2)
            raw = struct.pack(f"{order}I", at)
        entries += struct.pack(f"{order}HHI", tag, value.kind, value.count) + raw.ljust(4, b"\0")
    return struct.pack(f"{order}H", len(directory)) + bytes(entries) + bytes(4) + bytes(behind)


def block(directory: Directory, order: Order) -> bytes:
    """An EXIF block of `directory`: the TIFF structure, without the word Exif before it."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", 8) + serialise(directory, order, 8)


def integers(order: Order, kind: int, *numbers: int) -> Value:
    """A Value of BYTE, SHORT or LONG numbers."""
    letter = {BYTE: "B", SHORT: "H", LONG: "I"}[kind]
    return Value(kind, len(numbers), struct.pack(f"{order}{len(numbers)}{letter}", *numbers))
