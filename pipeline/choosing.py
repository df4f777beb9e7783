"""Which network "auto" stands for: the best one that keeps the source's rate on this machine.

For a source, whose frames are restored one after another, a recurrent twin is one more choice, better and
slower than the network that it is the twin of. Pictures, arrays and frames in any order stand alone, and are
restored by networks of single frames.
"""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from derain.engines import models
from derain.engines.engine import Engine, EngineOptions
from derain.engines.errors import DerainError
from derain.engines.machine import usable_cores
from derain.engines.registry import open_engine
from derain.pipeline.restore import TileChoice
from derain.pipeline.source import StreamInfo
from derain.pipeline.speeds import seconds_a_frame

SHARE = 0.9
"""Of the time between two frames, how much may be planned with: times vary from frame to frame."""
BESIDE = 50e-9
"""Seconds that a core works on a pixel beside the network: decoding, encoding, copying. `derain bench` found
45 to 70 from 360p to 4K (H.264 in, x264 veryfast out); with SHARE the whole was never slower than planned."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """What is to be kept up with: frames of this size, `rate` of them a second, None where nobody tells.

    `sequence`: they come one after another from one source, so that a network may remember those before.
    """

    width: int
    height: int
    rate: Fraction | None
    sequence: bool = False

    @property
    def told(self) -> str:
        """The rate in words, such as "29.97 fps"."""
        return "no rate" if self.rate is None else f"{float(self.rate):.4g} fps"

    def left(self) -> float:
        """Seconds there are for restoring a frame, beside decoding and encoding it; 0 where none are left."""
        if self.rate is None:
            return 0.0
        beside = BESIDE * self.width * self.height / usable_cores()
        return max(0.0, SHARE / float(self.rate) - beside)


class Chosen(NamedTuple):
    """`path`: of the network that `engine` runs. `why`: in words, "" where there was no choice."""

    engine: Engine
    path: Path
    why: str


class _Candidate(NamedTuple):
    engine: Engine
    path: Path
    seconds: float

    @property
    def ms(self) -> str:
        return f"{self.seconds * 1e3:.1f}"


def pace_of(info: StreamInfo) -> Pace:
    """That of a source, live or not."""
    return Pace(info.width, info.height, info.average_rate or info.real_rate, sequence=True)


def open_chosen(
    model: str | Path, options: EngineOptions, pace: Pace | None = None, tile: TileChoice = "auto"
) -> Chosen:
    """Opens `model`; where that is "auto", the best shipped network that keeps `pace`, the caller closes it.

    Each is measured on the engine that will run it (see `speeds`), the smallest first, so that no more than
    one is timed in vain. The smallest is taken where none keeps the pace, or the pace has no rate; the best
    without a pace. Raises UsageError and DerainError as `open_engine` does.
    """
    ranked = models.ranked(sequence=pace is not None and pace.sequence)
    if model != "auto" or len(ranked) < 2:
        path = ranked[0] if model == "auto" and ranked else models.find(model)
        return Chosen(open_engine(path, options), path, "")
    if pace is None:
        return Chosen(open_engine(ranked[0], options), ranked[0], "the best; there is no rate to keep")
    if pace.rate is None:
        return Chosen(open_engine(ranked[-1], options), ranked[-1], "the smallest; the input tells no rate")
    return _climb(ranked[::-1], options, pace, tile)


def _climb(upwards: tuple[Path, ...], options: EngineOptions, pace: Pace, tile: TileChoice) -> Chosen:
    """From network to larger network, as long as they keep the pace."""
    taken, why, left = _timed(upwards[0], options, pace, tile), "", pace.left()
    if taken.seconds > left:
        _tell_none(taken, pace)
        return Chosen(taken.engine, taken.path, f"the smallest; none keeps {pace.told}")
    for path in upwards[1:]:
        taken, why = _step(taken, path, options, pace, tile)
        if why:
            break
    fits = f"keeps {pace.told} with {taken.ms} of {left * 1e3:.1f} ms a frame"
    return Chosen(taken.engine, taken.path, f"{fits}; {why}" if why else f"the best, {fits}")


def _step(
    taken: _Candidate, path: Path, options: EngineOptions, pace: Pace, tile: TileChoice
) -> tuple[_Candidate, str]:
    """(the network at `path`, "") in place of `taken` where it keeps the pace; else (`taken`, why not)."""
    with ExitStack() as stack:
        stack.enter_context(taken.engine)
        try:
            larger = _timed(path, options, pace, tile)
        except DerainError as error:
            log.warning("%s is not taken: %s", path.stem, error)
            why = f"{path.stem} does not run"
        else:
            if larger.seconds <= pace.left():
                return larger, ""
            larger.engine.close()
            why = f"{path.stem} takes {larger.ms}"
        stack.pop_all()
    return taken, why


def _timed(path: Path, options: EngineOptions, pace: Pace, tile: TileChoice) -> _Candidate:
    with ExitStack() as stack:
        engine = stack.enter_context(open_engine(path, options))
        seconds = seconds_a_frame(engine, options, tile, (pace.width, pace.height), pace.left())
        stack.pop_all()
        return _Candidate(engine, path, seconds)


def _tell_none(smallest: _Candidate, pace: Pace) -> None:
    log.warning(
        "no shipped network keeps %s of %dx%d on this machine: %s takes %s ms a frame where %.1f are left "
        "beside decoding and encoding; a file takes longer than it lasts",
        *(pace.told, pace.width, pace.height, smallest.path.stem, smallest.ms, pace.left() * 1e3),
    )
