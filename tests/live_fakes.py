"""Cameras, sinks and a clock for tests of live video, that do what they are told."""

import threading
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import onnx_models
from fake_engine import FakeEngine, invert

from derain.engines.engine import Pixels
from derain.pipeline.frame import Frame
from derain.pipeline.live.seam import Give, GivePacket, Packet, Shown, SourceCounts, State, Taken, Track
from derain.pipeline.source import StreamInfo

RATE = Fraction(25)


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.passed: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        self.passed()


class FakeCamera:
    """A source that gives what `send` is told to. `stopping`: what its `stop` does beside stopping."""

    def __init__(self, name: str = "front", size: tuple[int, int] = (32, 16)) -> None:
        self.name, self.shown, self.said = name, f"fake {name}", ""
        self.state = State.LIVE
        self.info: StreamInfo | None = StreamInfo(*size, Fraction(1, 25), average_rate=RATE)
        self.tracks: Sequence[Track] = ()
        self.counts = SourceCounts()
        self.started = threading.Event()
        self.stopped = False
        self.stopping: Callable[[], None] = lambda: None
        self._size, self._sent = size, 0
        self._give: Give | None = None
        self._packets: GivePacket | None = None

    def start(self, give: Give, packets: GivePacket | None = None) -> None:
        self._give, self._packets = give, packets
        self.started.set()

    def stop(self) -> None:
        self.stopped = True
        self.stopping()

    def frame(self, arrived: float, level: int = 40, epoch: int = 0, held: bool = False) -> Taken:
        pixels = np.full((self._size[1], self._size[0], 3), level, np.uint8)
        frame = Frame(pixels, self._sent, Fraction(1, 25), 1, held=held)
        return Taken(frame, self._sent, epoch, arrived)

    def send(self, arrived: float, level: int = 40, epoch: int = 0, held: bool = False) -> None:
        assert self._give is not None, "it was not started"
        taken = self.frame(arrived, level, epoch, held)
        self._sent += 1
        self.counts = SourceCounts(decoded=self._sent)
        self._give(taken)

    def send_packet(self, packet: Packet) -> None:
        assert self._packets is not None
        self._packets(packet)


class FakeSink:
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.states: list[tuple[str, State, str]] = []
        self.packets: list[tuple[str, Packet]] = []
        self.closed = 0
        self.before: Callable[[Shown], None] = lambda shown: None
        self.closing: Callable[[], None] = lambda: None

    def show(self, shown: Shown) -> None:
        self.before(shown)
        self.shown.append(shown)

    def away(self, camera: str, state: State, said: str) -> None:
        self.states.append((camera, state, said))

    def packet(self, camera: str, packet: Packet) -> None:
        self.packets.append((camera, packet))

    def close(self) -> None:
        self.closed += 1
        self.closing()

    def of(self, camera: str) -> list[Shown]:
        return [shown for shown in self.shown if shown.camera == camera]


def slow_engine(clock: Clock, seconds: Callable[[Pixels], float]) -> FakeEngine:
    """Inverts, and takes `seconds(batch)` of the clock for each."""

    def work(batch: Pixels) -> Pixels:
        clock.pass_(seconds(batch))
        return invert(batch)

    return FakeEngine(onnx_models.CARD, work)
