"""The part of a file that is worked on."""

from dataclasses import dataclass
from fractions import Fraction

from derain.engines.errors import UsageError

Seconds = Fraction | float | int


@dataclass(frozen=True)
class Cut:
    """A part of a file, in seconds of the file's own clock.

    `start` <= t < `end`, None for open ends. `shift`: what is taken off every time stamp of every stream, so
    that the output begins where the whole file did.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    def holds(self, time: Fraction) -> bool:
        """Whether `time` lies inside."""
        return (self.start is None or time >= self.start) and not self.over(time)

    def over(self, time: Fraction) -> bool:
        """Whether `time` lies behind the end."""
        return self.end is not None and time >= self.end


def make_cut(origin: Fraction, time_base: Fraction, start: Seconds | None, duration: Seconds | None) -> Cut:
    """The cut of `duration` seconds that begins `start` seconds after the file's `origin`, or zero if later.

    Its shift is a whole number of `time_base`, so that the pictures' times stay exact, and never more than
    was cut off: nothing in the output lies before zero, where few formats have room. Raises UsageError.
    """
    if start is not None and start < 0:
        raise UsageError(f"the start must be zero or more seconds, it is {float(start):g}")
    if duration is not None and duration <= 0:
        raise UsageError(f"the duration must be more than zero seconds, it is {float(duration):g}")
    skipped = exact(start or 0)
    first = max(origin, Fraction(0)) + skipped
    end = None if duration is None else first + exact(duration)
    return Cut(first if skipped else None, end, skipped // time_base * time_base)


def exact(seconds: Seconds) -> Fraction:
    """Seconds as the fraction that was meant: 0.1 is 1/10."""
    return Fraction(seconds).limit_denominator(10**9)


def clock(seconds: Fraction | float) -> str:
    """Seconds as people write them: 1:02:03.500."""
    thousandths = round(seconds * 1000)
    sign, thousandths = ("-", -thousandths) if thousandths < 0 else ("", thousandths)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
