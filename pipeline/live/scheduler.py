"""Whose turn it is: many cameras share one thread that restores, and none waits for another's next frame."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from derain.pipeline.live.camera import Camera
from derain.pipeline.live.contract import Contract, Move, Step
from derain.pipeline.live.figures import Clock, Passage
from derain.pipeline.live.seam import Shown, Taken
from derain.pipeline.live.treatment import Begun, Treated
from derain.pipeline.live.workshop import TOGETHER, Workshop

BEGINNING = 4
"""Frames of each camera, about, with which a run begins."""

HandOver = Callable[[Shown], None]
Tell = Callable[[Move], None]


class Changing(Protocol):
    """What may give the first network another engine; see Relay."""

    def before(self, number: int) -> None: ...


class Scheduler:
    """Restores what `cameras` give, in the thread that calls `run`, and hands it over.

    A camera whose turn is longest ago comes first, with its newest frame, and beside it others whose frames
    are there and go well together. `steps`: those of `contract`, which decides between two turns; `tell` is
    told of its moves. `relay` is told before frames are begun.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        workshop: Workshop,
        hand_over: HandOver,
        news: threading.Condition,
        *,
        contract: Contract | None = None,
        steps: Sequence[Step] = (Step(),),
        tell: Tell = lambda move: None,
        relay: Changing | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._cameras = {camera.name: camera for camera in cameras}
        self._workshop, self._hand_over, self._news = workshop, hand_over, news
        self._contract, self._steps, self._tell = contract, steps, tell
        self._relay, self._clock = relay, clock
        self._turns = self._frames = 0
        self._usual: float | None = None
        self._sizes: dict[str, tuple[int, int]] = {}
        self._warmed: set[str] = set()
        self._finishing = self._cancelled = False

    def run(self) -> None:
        """Until `finish` and no frame is left, or `cancel`."""
        while self._wait() and self.turn():
            pass

    def turn(self) -> bool:
        """Restores what has its turn now; whether there was anything."""
        waiting = self._waiting()
        for camera in waiting:
            self._sizes[camera.name] = size_of(camera)
        group = self._together(waiting)
        if group:
            self._serve(group)
            self._decide()
        return bool(group)

    def finish(self) -> None:
        """No more frames come."""
        with self._news:
            self._finishing = True
            self._news.notify_all()

    def cancel(self) -> None:
        """Ends after the frames that are begun."""
        with self._news:
            self._cancelled = True
            self._news.notify_all()

    def _wait(self) -> bool:
        """Until a frame is there or the end has come; whether to go on."""
        with self._news:
            self._news.wait_for(lambda: self._cancelled or self._finishing or bool(self._waiting()))
            return not self._cancelled

    def _waiting(self) -> list[Camera]:
        return [camera for camera in self._cameras.values() if camera.slot.waiting is not None]

    def _together(self, waiting: Sequence[Camera]) -> list[Camera]:
        """Who has waited longest for a turn, and those whose frames go with that one's."""
        if not waiting:
            return []
        in_turn = sorted(waiting, key=lambda camera: camera.served)
        first, kind = in_turn[0], kind_of(in_turn[0])
        group = [camera for camera in in_turn if kind_of(camera) == kind]
        quick = 1 if self._usual is None else int(TOGETHER / max(self._usual, 1e-6))
        most, size = max(1, min(len(group), quick)), size_of(first)
        return group[: self._workshop.together(first.step, size, self._alike(size), most)]

    def _alike(self, size: tuple[int, int]) -> int:
        """How many cameras give frames of that size."""
        return max(1, sum(known == size for known in self._sizes.values()))

    def _serve(self, group: Sequence[Camera]) -> None:
        if self._relay is not None:
            self._relay.before(self._frames)
        self._turns += 1
        for camera in group:
            camera.served = self._turns
            self._warm(camera)
        self._frames += len(group)
        first = group[0]
        kind = first.step, self._sizes[first.name], len(group)
        known = self._workshop.knows(*kind)
        began = self._clock()
        begun = [
            (camera, taken, self._clock(), camera.begin(taken))
            for camera in group
            if (taken := camera.take()) is not None
        ]
        ended = [(camera, self._finish(camera, taken, at, work)) for camera, taken, at, work in begun]
        if known:
            self._account(ended, began)
        self._workshop.learn(*kind)

    def _finish(self, camera: Camera, taken: Taken, begun_at: float, work: Begun | Treated) -> float:
        """Hands a frame over; gives the seconds since its arrival."""
        shown = camera.finish(taken, work, self._clock)
        self._hand_over(shown)
        passage = Passage(taken.arrived, begun_at, shown.handed, self._clock())
        camera.meter.handed(passage, passed=camera.step.passes)
        return passage.latency

    def _account(self, ended: Sequence[tuple[Camera, float]], began: float) -> None:
        """Lets the contract know; not of frames that the engine had to compile for, as the next ones do not
        take so long."""
        now = self._clock()
        busy = (now - began) / max(1, len(ended))
        if not any(camera.step.passes for camera, _ in ended):
            self._usual = busy if self._usual is None else self._usual + (busy - self._usual) / 4
        if self._contract is not None:
            for camera, latency in ended:
                self._contract.saw(camera.name, now, latency, busy)

    def _decide(self) -> None:
        if self._contract is None:
            return
        for move in self._contract.decide(self._clock()):
            self._cameras[move.camera].move(move.step)
            self._tell(move)

    def _warm(self, camera: Camera) -> None:
        """Before a camera's first frame the engines compile: where the run begins for all that may come,
        later only for what is wanted now, as others wait."""
        if camera.name not in self._warmed:
            self._warmed.add(camera.name)
            size = self._sizes[camera.name]
            steps = self._steps if self._frames < BEGINNING * len(self._cameras) else (camera.step,)
            self._workshop.warm(steps, *size, self._alike(size))


def kind_of(camera: Camera) -> tuple[object, ...]:
    """Of a camera's frame that waits: frames of one kind go together."""
    return camera.step.model, camera.step.scale, camera.step.passes, *size_of(camera)


def size_of(camera: Camera) -> tuple[int, int]:
    """(height, width) of the frame that waits."""
    taken = camera.slot.waiting
    assert taken is not None, "nobody else takes frames"
    return taken.frame.pixels.shape[0], taken.frame.pixels.shape[1]
