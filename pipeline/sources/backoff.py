"""How long to wait before a source is tried again."""

import numpy as np

from derain.pipeline.live.opening import SourceOptions


class BackOff:
    """The first new try comes soon, later ones at twice the interval each time, up to the longest. Drawn, so
    that cameras which went together do not come back all at once."""

    def __init__(self, options: SourceOptions, generator: np.random.Generator) -> None:
        self._options, self._generator = options, generator
        self._tries = 0
        self._last = 0.0

    def next(self, lived: float, refused: bool) -> float:
        """Seconds to wait, behind a connection that had pictures for `lived` seconds, or was `refused`.

        It begins anew behind one that lived longer than was waited for it.
        """
        if lived > self._last:
            self._tries = 0
        options = self._options
        if refused:
            wait = options.retry_refused
        elif self._tries == 0:
            wait = options.retry_first
        else:
            wait = min(options.retry_most, options.retry_from * 2.0 ** min(self._tries - 1, 30))
        self._tries += 1
        self._last = wait * float(self._generator.uniform(0.75, 1.25))
        return self._last
