"""What is told of a run from outside, and asked of it: the figures, and the strength."""

import time
from collections.abc import Sequence

import psutil

from derain.engines.engine import Engine
from derain.pipeline.live.camera import Camera, find
from derain.pipeline.live.figures import Clock
from derain.pipeline.live.seam import Figures


class Desk:
    """The Control of a run. Any thread may call it. `engine`: None until one is open."""

    def __init__(self, cameras: Sequence[Camera], clock: Clock = time.monotonic) -> None:
        self.engine: Engine | None = None
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
