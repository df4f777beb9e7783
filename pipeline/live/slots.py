"""Where the newest frame of a camera waits for its turn: room for one."""

import threading
from typing import Literal, TypeAlias

from derain.pipeline.live.seam import Taken

Policy: TypeAlias = Literal["live", "lossless"]
"""What becomes of a frame whose place is taken: it takes that place, or its source waits."""
POLICIES: tuple[Policy, ...] = ("live", "lossless")


class Slot:
    """Between the thread of a source and the one that restores.

    `news` wakes whoever takes frames; all slots of a run share it. `policy`: see Policy.
    """

    def __init__(self, news: threading.Condition, policy: Policy = "live") -> None:
        self._news, self._policy = news, policy
        self._taken: Taken | None = None
        self._closed = False

    @property
    def waiting(self) -> Taken | None:
        """The frame that is inside now."""
        return self._taken

    def put(self, taken: Taken) -> Taken | None:
        """Lets a frame in, and gives the one that nobody will take for it; under "lossless" it waits for the
        place instead. Once closed it does nothing."""
        with self._news:
            if self._policy == "lossless":
                self._news.wait_for(lambda: self._closed or self._taken is None)
            if self._closed:
                return None
            before, self._taken = self._taken, taken
            self._news.notify_all()
            return before

    def take(self) -> Taken | None:
        """The frame, if there is one; its place is free then."""
        with self._news:
            taken, self._taken = self._taken, None
            self._news.notify_all()
            return taken

    def close(self) -> None:
        """Nothing is let in any more, and nobody waits; what is inside can still be taken."""
        with self._news:
            self._closed = True
            self._news.notify_all()
