"""Times as people write them, kept exact."""

import re
from fractions import Fraction

from derain.engines.errors import UsageError

_CLOCK = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?([0-5]?\d(?:\.\d+)?)", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_time(text: str, name: str) -> Fraction:
    """Seconds ("90", "12.5") or a clock ("1:30", "00:01:30.250") as exact seconds.

    `name` is what the user calls it, for the UsageError that anything else raises.
    """
    if _SECONDS.fullmatch(text):
        return Fraction(text)
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise UsageError(f"{name} takes seconds (12.5) or HH:MM:SS.mmm (00:01:30.250), not {text!r}")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)
