"""Times of an output that only go forward, though its source comes and goes and counts anew each time."""

import time
from collections.abc import Callable

from derain.pipeline.live.seam import Packet, Taken

JUMP = 1.0
"""Seconds of a source's own times by which they may go on; more, or backwards, is a jump."""
LEAST = 0.001
"""Seconds between two frames."""


class Timeline:
    """Seconds since it was made. Within a connection the distances are those of its time stamps; where one
    begins, or its stamps jump, it goes on at `clock`. Called from one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._epoch: int | None = None
        self._offset = 0.0
        self._stamp = self._arrived = 0.0
        self.last = -LEAST

    def now(self) -> float:
        """Seconds now, after those of the last frame: of a picture that has no time of its own."""
        return self._forward(self._clock() - self._began)

    def place(self, taken: Taken) -> float:
        """When a frame is shown."""
        frame = taken.frame
        if frame.pts is None:
            return self.now()
        stamp = float(frame.pts * frame.time_base)
        if taken.epoch != self._epoch or self._jumps(stamp, taken.arrived):
            self._epoch = taken.epoch
            self._offset = max(self._clock() - self._began, self.last + LEAST) - stamp
        self._stamp, self._arrived = stamp, taken.arrived
        return self._forward(stamp + self._offset)

    def place_packet(self, packet: Packet) -> float | None:
        """When a packet is due, beside the frames of its connection; None before the first of these."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or packet.epoch != self._epoch:
            return None
        return float(stamp * packet.time_base) + self._offset

    def _jumps(self, stamp: float, arrived: float) -> bool:
        passed = stamp - self._stamp
        return passed <= 0 or passed > JUMP + 3 * max(0.0, arrived - self._arrived)

    def _forward(self, seconds: float) -> float:
        self.last = max(seconds, self.last + LEAST)
        return self.last
