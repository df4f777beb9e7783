from fractions import Fraction

import pytest

from derain.engines.errors import UsageError
from derain.pipeline.timecode import parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", Fraction(0)),
        ("90", Fraction(90)),
        ("12.5", Fraction(25, 2)),
        ("0.1", Fraction(1, 10)),
        ("1:30", Fraction(90)),
        ("00:01:30.250", Fraction(361, 4)),
        ("100:00:00", Fraction(360_000)),
        ("0:0.001", Fraction(1, 1000)),
    ],
)
def test_times_are_exact(text: str, seconds: Fraction) -> None:
    assert parse_time(text, "--start") == seconds


@pytest.mark.parametrize(
    "text", ["", "noon", "-1", "1e3", "1:60", "60:00:00:00", "1:2:", "1:99:00", "١", "1 "]
)
def test_anything_else_is_refused_with_what_it_takes(text: str) -> None:
    with pytest.raises(UsageError, match=r"--start takes seconds \(12.5\) or HH:MM:SS.mmm"):
        parse_time(text, "--start")
