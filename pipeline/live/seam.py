"""What the parts of live video know of each other: sources give `Taken`, the run makes `Shown` of it, sinks
show that. Seconds are those of `time.monotonic()`, which all processes of a machine share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Protocol, TypeAlias

from derain.engines.engine import Pixels, Scores
from derain.pipeline.frame import Frame
from derain.pipeline.source import StreamInfo


class State(StrEnum):
    """Of a source. FROZEN: frames come, and have been one and the same for too long. AWAY: it is tried again
    and again. ENDED: nothing will come any more."""

    OPENING = "opening"
    LIVE = "live"
    STALLED = "stalled"
    FROZEN = "frozen"
    AWAY = "away"
    ENDED = "ended"


@dataclass(frozen=True)
class Taken:
    """A frame as it came. `number`: of the frame among all that this source gave, from 0. `epoch`: of the
    connection, from 0; in a new one size, codec and times may be others. `arrived`: when it was captured, or
    came in to be decoded."""

    frame: Frame
    number: int
    epoch: int
    arrived: float


@dataclass(frozen=True)
class Packet:
    """A coded packet as it came, of any stream; `stream`: its index. Times count `time_base` seconds."""

    stream: int
    kind: str
    data: bytes
    pts: int | None
    dts: int | None
    duration: int
    time_base: Fraction
    key: bool
    epoch: int


@dataclass(frozen=True)
class Track:
    """A stream of a connection: `kind` "video" or "audio", FFmpeg's name of its codec, and what its decoder
    needs."""

    index: int
    kind: str
    codec: str
    extradata: bytes
    time_base: Fraction
    rate: int = 0
    layout: str = ""


@dataclass(frozen=True)
class SourceCounts:
    """So far. `decoded`: frames that came. `held`: those that were corrupt and replaced by the last good one.
    `reconnects`: connections after the first."""

    decoded: int = 0
    held: int = 0
    reconnects: int = 0


Give: TypeAlias = Callable[[Taken], None]
GivePacket: TypeAlias = Callable[[Packet], None]


class LiveSource(Protocol):
    """A camera, a stream, a file at its own pace. `name`: unlike any other's of a run. `shown`: its address
    as it may be shown to anyone, without credentials."""

    name: str
    shown: str

    @property
    def state(self) -> State: ...

    @property
    def said(self) -> str:
        """Why it is in that state, in a sentence without credentials; "" where there is nothing to say."""
        ...

    @property
    def info(self) -> StreamInfo | None:
        """Of the connection there is, or the last one; None before the first."""
        ...

    @property
    def tracks(self) -> Sequence[Track]:
        """The streams of that connection."""
        ...

    @property
    def counts(self) -> SourceCounts: ...

    def start(self, give: Give, packets: GivePacket | None = None) -> None:
        """Begins to open and to read; returns at once. `give` and `packets` are called from one thread of the
        source's own, `give` with every frame, and return at once."""
        ...

    def stop(self) -> None:
        """Nothing is given any more once it has returned, within 2 seconds in every state. Idempotent."""
        ...


@dataclass(frozen=True)
class Shown:
    """A frame of a camera and what was made of it: both halves are of the same frame.

    `restored`: (H, W, 3) of the frame's dtype. `attention`: (H / scale, W / scale) 0..1, None where the
    network tells nothing. `rain`: the frame's score 0..1. `handed`: when it was handed over. `steps`: what
    was given up to be in time, in words; "" for nothing.
    """

    camera: str
    taken: Taken
    restored: Pixels
    attention: Scores | None = None
    rain: float | None = None
    handed: float = 0.0
    steps: str = ""


class LiveSink(Protocol):
    """Shows what cameras give. Nothing here waits: a sink that does not keep up drops frames of its own.

    `show`, `away` and `packet` are each called from threads of their own, at the same time too; a sink that
    raises is told of once and called no more.
    """

    def show(self, shown: Shown) -> None:
        """Takes a frame; the arrays stay as they are."""
        ...

    def away(self, camera: str, state: State, said: str) -> None:
        """No frame comes from this camera for now; called on each change of its state, LIVE too."""
        ...

    def packet(self, camera: str, packet: Packet) -> None:
        """Takes a coded packet as it came; most sinks leave it."""
        ...

    def close(self) -> None:
        """Finishes what it writes, within 5 seconds. Idempotent."""
        ...


@dataclass(frozen=True)
class Spans:
    """Of durations in seconds: how many, and the percentiles."""

    count: int = 0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


BOUNDS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.16, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds up to which the buckets of a histogram count; one more counts all."""


@dataclass(frozen=True)
class Buckets:
    """Of all durations since the start, a histogram: `counts[n]` of them took at most BOUNDS[n] seconds, the
    last is of all. `total`: seconds together."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0


@dataclass(frozen=True)
class CameraFigures:
    """One camera now. Rates are of the last seconds, counts since the start. `dropped`: decoded and not
    restored, as newer ones were there. `late`: restored and handed over after the budget. `passed`: handed
    over as they came, as nothing else was in time. `latency`: from arrival to hand-over; `stages`: by the
    name of the stage, "wait", "restore" and "hand-over"; `histograms`: of those, and of "latency". `drops`:
    the share of the picture under drops, None where the network tells nothing."""

    name: str
    shown: str
    state: State
    said: str
    width: int = 0
    height: int = 0
    camera_fps: float = 0.0
    restored_fps: float = 0.0
    decoded: int = 0
    restored: int = 0
    dropped: int = 0
    late: int = 0
    passed: int = 0
    held: int = 0
    reconnects: int = 0
    latency: Spans = Spans()
    stages: dict[str, Spans] = field(default_factory=dict)
    histograms: dict[str, Buckets] = field(default_factory=dict)
    rain: float | None = None
    drops: float | None = None
    steps: str = ""
    strength: float = 1.0


@dataclass(frozen=True)
class Figures:
    """The whole run now. `seconds`: since its start. `memory`: bytes that the process holds."""

    cameras: tuple[CameraFigures, ...]
    model: str
    backend: str
    precision: str
    seconds: float
    memory: int


class Control(Protocol):
    """What a sink may ask of the run, from any thread."""

    def figures(self) -> Figures: ...

    def set_strength(self, camera: str, strength: float) -> None:
        """0 gives the rainy picture, 1 the restored one. Raises UsageError for a camera that there is not, or
        a number out of range."""
        ...
