"""What those who read from cameras and streams give to."""

import threading
from collections.abc import Callable
from typing import TypeAlias

from derain.engines.engine import Pixels
from derain.pipeline.live.seam import Packet
from derain.pipeline.sources.ring import Handing
from derain.pipeline.sources.telling import Coded, Facts, Noted, Opened, Over, Task, Teller


class Out:
    """The way up to the other process. `stopped` is set where the reader is to end."""

    def __init__(self, tell: Teller, handing: Handing) -> None:
        self._tell, self._handing = tell, handing
        self.stopped = threading.Event()

    def opened(self, opened: Opened) -> None:
        """There is a picture, or one of another kind than before."""
        self._tell(opened)

    def frame(self, pixels: Pixels, facts: Facts) -> None:
        """One frame."""
        self._handing.give(pixels, facts)

    def noted(self, text: str) -> None:
        """Something that a user should know of; nothing where it is empty."""
        if text:
            self._tell(Noted(text))

    def packet(self, packet: Packet) -> None:
        """A coded packet."""
        self._tell(Coded(packet))


Reader: TypeAlias = Callable[[Task, Out], Over]
"""Reads what a task says, and how that ended; raises DerainError where it can't be done."""
