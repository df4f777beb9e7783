"""Which pictures of a live stream may be shown: after damage none, until one that stands for itself."""

from typing import Protocol

MOST = 10.0
"""Seconds: some streams have no key frames, and then a picture with faults is better than an old one."""


class Picture(Protocol):
    """What is looked at of a decoded picture."""

    @property
    def is_corrupt(self) -> bool: ...

    @property
    def key_frame(self) -> bool: ...


class Whole:
    """Told of damage and of pictures in their order."""

    def __init__(self) -> None:
        self._damaged: float | None = None

    def damage(self, now: float) -> None:
        """Something was lost, on which later pictures may rest."""
        if self._damaged is None:
            self._damaged = now

    def shows(self, picture: Picture, now: float) -> bool:
        """Whether it may be shown."""
        if picture.is_corrupt:
            self.damage(now)
        elif picture.key_frame:
            self._damaged = None
        if self._damaged is not None and now - self._damaged < MOST:
            return False
        self._damaged = None
        return True
