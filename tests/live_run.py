"""Live runs in a thread of their own, with cameras and sinks that do what they are told."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from live_fakes import FakeCamera, FakeSink

from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.contract import Move
from derain.pipeline.live.desk import Desk
from derain.pipeline.live.job import CameraJob, LiveJob, run_live
from derain.pipeline.live.outlets import Outlet
from derain.pipeline.live.seam import Figures, State
from derain.pipeline.live.telling import LiveEnd, LiveFacts, QuietLiveTeller
from derain.pipeline.metrics import Change

ENGINE = EngineOptions(backend="onnxruntime", threads=1)


class Told(QuietLiveTeller):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.facts: list[LiveFacts] = []
        self.states: list[tuple[str, State, str]] = []
        self.moves: list[Move] = []
        self.changes: list[Change] = []
        self.ends: list[LiveEnd] = []

    def start(self, facts: LiveFacts) -> None:
        self.facts.append(facts)

    def state(self, camera: str, state: State, said: str) -> None:
        self.states.append((camera, state, said))

    def step(self, move: Move) -> None:
        self.moves.append(move)

    def changed(self, change: Change) -> None:
        self.changes.append(change)

    def end(self, end: LiveEnd) -> None:
        self.ends.append(end)


class Run:
    """A run in a thread of its own, that ends when its cameras do."""

    def __init__(
        self,
        model: Path,
        cameras: Sequence[FakeCamera],
        sinks: Sequence[FakeSink] = (),
        outlet: Callable[[int, FakeSink], Outlet] = lambda n, sink: Outlet(f"sink {n}", sink),
        **options: object,
    ) -> None:
        self.cameras, self.sinks, self.told = cameras, list(sinks) or [FakeSink()], Told()
        self.control: Desk | None = None
        self.figures: Figures | None = None
        self.error: BaseException | None = None
        jobs = tuple(CameraJob(camera.name, parse_address("pattern")) for camera in cameras)
        options = {"engine": ENGINE, **options}
        self.job = LiveJob(jobs, model, **options)  # type: ignore[arg-type]
        self._outlet = outlet
        self._thread = threading.Thread(target=self._go)

    def _go(self) -> None:
        by_name = {camera.name: camera for camera in self.cameras}
        try:
            self.figures = run_live(self.job, self.told, self._outlets, lambda job: by_name[job.name])
        except DerainError as error:
            self.error = error

    def _outlets(self, desk: Desk) -> list[Outlet]:
        self.control = desk
        return [self._outlet(number, sink) for number, sink in enumerate(self.sinks)]

    def __enter__(self) -> "Run":
        self._thread.start()
        for camera in self.cameras:
            assert camera.started.wait(60)
        return self

    def send(self, camera: FakeCamera, count: int = 1) -> None:
        """Frames, each once the one before was shown."""
        for _ in range(count):
            before = len(self.sinks[-1].of(camera.name))
            camera.send(time.monotonic())
            wait_for(lambda before=before: len(self.sinks[-1].of(camera.name)) > before)  # type: ignore[misc]

    def ends(self) -> None:
        """By itself."""
        self._thread.join(60)
        assert not self._thread.is_alive()

    def __exit__(self, *error: object) -> None:
        for camera in self.cameras:
            camera.state = State.ENDED
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert "derain-live-restore" not in [thread.name for thread in threading.enumerate()]


def wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not there():
        assert time.monotonic() < until
        time.sleep(0.005)
