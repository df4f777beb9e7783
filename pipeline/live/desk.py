"""What is told of a run to its sinks, and asked of it by them: figures, tracks, the strength, the end."""

import threading
import time
from collections.abc import Sequence

import psutil

from derain.engines.engine import Engine
from derain.pipeline.live.camera import Camera, find
from derain.pipeline.live.figures import Clock
from derain.pipeline.live.seam import Figures, Track


class Desk:
    """The Control of a run. Any thread may call it. `engine`: None until one is open. `cameras`: their names.
    `leaving`: is set once the run is asked to end."""

    def __init__(self, cameras: Sequence[Camera], clock: Clock = time.monotonic) -> None:
        self.engine: Engine | None = None
        self.cameras = tuple(camera.name for camera in cameras)
        self.leaving = threading.Event()
        self._cameras = {camera.name: camera for camera in cameras}
        self._clock, self._began = clock, clock()
        self._process = psutil.Process()

    def figures(self) -> Figures:
        """See Control."""
        engine = self.engine
        return Figures(
            cameras=tuple(camera.figures() for camera in self._cameras.values()),
            model="" if engine is None else engine.card.name,
            backend="" if engine is None else engine.backend,
            precision="" if engine is None else engine.precision,
            seconds=self._clock() - self._began,
            memory=self._process.memory_info().rss,
        )

    def set_strength(self, camera: str, strength: float) -> None:
        """See Control."""
        find(self._cameras, camera).set_strength(strength)

    def tracks(self, camera: str) -> Sequence[Track]:
        """The streams of a camera's connection; see LiveSource."""
        return find(self._cameras, camera).source.tracks

    def leave(self) -> None:
        """Asks the run to end, as Ctrl-C does."""
        self.leaving.set()
