"""Where a video does not go on, so that a recurrent network must not use what it remembers."""

from collections import deque
from collections.abc import Callable
from statistics import median_high
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.engine import Pixels
from derain.pipeline.frame import Frame

Thumbnail = npt.NDArray[np.float32]
"""Luma (18, 32) of a picture, 0..1."""
Look: TypeAlias = Callable[[Any], Thumbnail]

CUT = 0.08
"""Mean difference of two thumbnails at a cut, at least. Cuts that were measured have 0.17 to 0.32, cameras in
cars and over streets 0.02 at most, a fast ride through a wood 0.075."""
SUDDEN = 2.0
"""And so many times the difference before it: of a camera that is swung about, no frame is like the last."""
GAP = 1.5
"""Longer than so many usual frames is a gap."""
USUAL = 15
"""Frames by which it is known how long they usually last."""
_ROWS = 90


class Continuity:
    """Told the frames of one source one after another, says which do not follow the one before.

    That is so at a cut, behind a gap in the time stamps (or where they run back), and behind pictures that
    were damaged and held. `look`: what makes a thumbnail of a frame's pixels. One thread at a time.
    """

    def __init__(self, look: Look | None = None) -> None:
        self._look = look or thumbnail
        self._pts: int | None = None
        self._held = False
        self._thumbnail: Thumbnail | None = None
        self._difference = 0.0
        self._lasted: deque[int] = deque(maxlen=USUAL)

    def broken_at(self, frame: Frame) -> bool:
        """Whether `frame` begins something new; False for the first."""
        after_damage = self._held and not frame.held
        cut, gap = self._cut(frame.pixels), self._gap(frame.pts)  # both look at every frame
        self._held = frame.held
        return cut or gap or after_damage

    def _cut(self, pixels: Pixels) -> bool:
        before, self._thumbnail = self._thumbnail, self._look(pixels)
        if before is None:
            return False
        last, self._difference = self._difference, float(np.abs(self._thumbnail - before).mean())
        return is_cut(self._difference, last)

    def _gap(self, pts: int | None) -> bool:
        before, self._pts = self._pts, pts
        if before is None or pts is None:
            return False
        lasted = pts - before
        # As long as the one before is usual too: a slower rate is one gap, not many.
        usual = max(median_high(self._lasted), self._lasted[-1]) if self._lasted else lasted
        self._lasted.append(lasted)
        return lasted <= 0 or lasted > GAP * usual + 1  # stamps are rounded to ticks


def is_cut(difference: float, before: float) -> bool:
    """Whether thumbnails that differ by `difference` belong to two scenes; `before`: of the pair before."""
    return difference > CUT and difference > SUDDEN * before


def stride_of(height: int, width: int) -> int:
    """One in so many pixels of a picture will do, along each axis."""
    return max(1, min(height, width) // _ROWS)


def few_of(pixels: Pixels) -> Pixels:
    """A few pixels of a large picture (H, W, 3), all of a small one."""
    step = stride_of(*pixels.shape[:2])
    return np.ascontiguousarray(pixels[step // 2 :: step, step // 2 :: step])


def thumbnail(pixels: Pixels) -> Thumbnail:
    """What a picture (H, W, 3) of any size looks like from afar."""
    return made_small(few_of(pixels))


def made_small(few: Pixels) -> Thumbnail:
    """A thumbnail of those pixels."""
    small = cv2.resize(cv2.cvtColor(few, cv2.COLOR_RGB2GRAY), (32, 18), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(np.iinfo(few.dtype).max)
