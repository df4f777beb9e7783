"""Whether a file is as long as it says: found from the sizes its own outermost boxes state."""

from pathlib import Path
from typing import BinaryIO

MASTER = 0x1A45DFA3
SEGMENT = 0x18538067


def missing_bytes(path: Path) -> int:
    """Bytes missing at the end of an MP4/MOV, Matroska/WebM or AVI file; 0 where none or not known."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
            end = end_of_boxes(file, size)
        elif head[:4] == MASTER.to_bytes(4, "big"):
            end = end_of_segment(file)
        elif head[:4] == b"RIFF":
            end = 8 + int.from_bytes(head[4:8], "little")
        else:
            end = 0
    return max(0, end - size)


def end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last of an MP4 file's outermost boxes ends: behind the file's end if it is cut off."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if len(head) < 8 or length < 8:
            return size  # 0: "until the end of the file"; anything else is no box
        at += length
    return at


def end_of_segment(file: BinaryIO) -> int:
    """Where a Matroska file's segment ends; 0 where it does not say."""
    file.seek(0)
    while head := read_number(file, keep_marker=True):
        length = read_number(file, keep_marker=False)
        if length is None:
            return 0
        if head == SEGMENT:
            return file.tell() + length
        file.seek(length, 1)
    return 0


def read_number(file: BinaryIO, keep_marker: bool) -> int | None:
    """A number of EBML's variable length; None at the end of the file and for "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big")
    if keep_marker:
        return value
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value
