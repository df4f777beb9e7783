"""Flicker: how much a restored clip changes from frame to frame where the clean clip does not."""

import numpy as np

from derain.engines.errors import DerainError
from derain.train.evaluate import Plane


class Flicker:
    """The mean over frames and pixels of |(r_t - r_t-1) - (c_t - c_t-1)| on Y, in grey levels.

    r is the rainy or restored clip, c the clean one; with the error e = r - c that is |e_t - e_t-1|. Rain
    that falls flickers, and so does a network that restores the same thing now so, now so; an error that
    stands still does not. Holds one frame, however long the clip is.
    """

    def __init__(self) -> None:
        self._last: Plane | None = None
        self._sum = 0.0
        self.steps = 0

    def add(self, error: Plane) -> None:
        """Takes the next frame's error on Y, (H, W); DerainError where the size changes."""
        if self._last is not None:
            if self._last.shape != error.shape:
                raise DerainError(f"the frames change from {self._last.shape} to {error.shape}")
            self._sum += float(np.abs(error - self._last).mean())
            self.steps += 1
        self._last = error

    @property
    def value(self) -> float:
        """In grey levels; nan before the second frame."""
        return self._sum / self.steps if self.steps else float("nan")
