"""Notices that a stream comes faster than it can be decoded, before what has come piles up on the way."""

LONG = 2.0
"""Seconds without a moment's wait for the next packet, after which it is held to be so."""
MOMENT = 0.002
APART = 0.2
"""Seconds between pictures then, at least, where each is a key frame."""
SAID = (
    "its pictures come faster than they can be decoded here; only key frames are, until that is over "
    "(a smaller stream of the camera would help)"
)


class Hurry:
    """Told how long each packet was waited for, says whether its picture is to be decoded.

    Where there is a hurry only key frames are; it begins and ends with one, as pictures between rest on those
    before them.
    """

    def __init__(self, now: float) -> None:
        self._calm, self._last = now, -APART
        self.on = False

    def takes(self, waited: float, key: bool, now: float) -> bool:
        """The next packet of the pictures; whether it is to be decoded."""
        if waited > MOMENT:
            self._calm = now
        if key:
            self.on = now - self._calm > LONG
        if not self.on:
            return True
        takes = key and now - self._last >= APART
        self._last = now if takes else self._last
        return takes
