"""What a reader in a process of its own tells the one that started it, and is told by it.

Both ways are pipes. Down goes the task, then a byte for each frame that was taken over, and STOP; where that
pipe ends, so does the reader. Up come messages, each with its length before it.
"""

import os
import pickle
import struct
import threading
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import IO

from derain.pipeline.frame import Colour
from derain.pipeline.live.address import Address
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.live.seam import Packet, Track
from derain.pipeline.source import StreamInfo

TAKEN, STOP = b"t", b"s"
_LENGTH = struct.Struct("!I")


class Why(StrEnum):
    """How a connection ended. REFUSED: by its credentials. STILL: given up, as its picture stood still."""

    ENDED = "ended"
    LOST = "lost"
    REFUSED = "refused"
    STILL = "still"


@dataclass(frozen=True)
class Task:
    """What to read. `packets`: coded packets are wanted too. `memory`: a name for what is shared, where the
    system shares by name."""

    address: Address
    options: SourceOptions
    packets: bool
    memory: str


@dataclass(frozen=True)
class Began:
    """The reader is there, its libraries loaded."""


@dataclass(frozen=True)
class Opened:
    """There is a picture, and this is known of it; told anew where size or format change. `device`: by which
    a camera can be found again."""

    info: StreamInfo
    tracks: tuple[Track, ...] = ()
    device: str = ""


@dataclass(frozen=True)
class Facts:
    """What a frame is beside its pixels. `decoded`, `held`: of the frames of this connection so far."""

    pts: int | None
    time_base: Fraction
    duration: int
    colour: Colour
    held: bool
    arrived: float
    counts: tuple[int, int]


@dataclass(frozen=True)
class Filled:
    """A frame lies in the shared memory: `size` bytes of it, `at` from its start. `shape` is (H, W, 3)."""

    at: int
    size: int
    shape: tuple[int, ...]
    dtype: str
    facts: Facts


@dataclass(frozen=True)
class Coded:
    """A coded packet."""

    packet: Packet


@dataclass(frozen=True)
class Noted:
    """Something that a user should know of."""

    text: str


@dataclass(frozen=True)
class Over:
    """Nothing comes after this. `text`: a sentence without credentials."""

    why: Why
    text: str = ""


Message = Began | Opened | Filled | Coded | Noted | Over


class Teller:
    """Writes messages to a pipe; any thread may call it."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            write(self._pipe, _LENGTH.pack(len(data)) + data)


def write(pipe: int, data: bytes) -> None:
    """All of `data`."""
    left = memoryview(data)
    while left:
        left = left[os.write(pipe, left) :]


def send_task(pipe: int, task: Task) -> None:
    """The first thing a reader is told."""
    data = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
    write(pipe, _LENGTH.pack(len(data)) + data)


def receive(pipe: IO[bytes]) -> object:
    """The next message, or task; None where the pipe has ended."""
    head = exactly(pipe, _LENGTH.size)
    data = None if head is None else exactly(pipe, _LENGTH.unpack(head)[0])
    return None if data is None else pickle.loads(data)


def exactly(pipe: IO[bytes], size: int) -> bytes | None:
    """`size` bytes; None where the pipe ends before."""
    parts = []
    while size:
        part = pipe.read(size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
