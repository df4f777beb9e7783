"""Times, sizes and rates as users write them."""

import re
from fractions import Fraction

from derain.engines.errors import UsageError

UNITS = {"ms": 1e-3, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}


def parse_seconds(text: str, name: str) -> float:
    """Seconds of "80ms", "2s", "5min", "1h", or a number; raises UsageError, where it is `name`."""
    written = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([a-z]*)", text.strip(), re.ASCII)
    if written is None or written[2] not in UNITS:
        raise UsageError(f"{name} takes a time such as 80ms, 2s, 5min or 1h, not {text!r}")
    return float(written[1]) * UNITS[written[2]]


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "1280x720"."""
    written = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip(), re.ASCII)
    if written is None:
        raise UsageError(f"the size takes WIDTHxHEIGHT, such as 1280x720, not {text!r}")
    return int(written[1]), int(written[2])


def parse_rate(text: str) -> Fraction:
    """Frames a second of "25", "29.97" or "30000/1001"."""
    written = re.fullmatch(r"\d{1,6}(?:\.\d{1,6}|/\d{1,6})?", text.strip(), re.ASCII)
    try:
        return Fraction(written[0] if written else "")
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"the rate takes frames a second, such as 25 or 30000/1001, not {text!r}") from error
