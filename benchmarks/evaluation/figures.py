"""Figures of a case and of a set: how they add up."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

import numpy as np

from derain.benchmarks.evaluation.cases import Kind
from derain.train.evaluate import Area, Areas, Plane, Score, mean
from derain.train.flicker import Flicker

NAN = float("nan")


@dataclass(frozen=True)
class Figures:
    """Of one case as one model restored it, or as it was. `flicker`: in grey levels, nan for a picture."""

    score: Score
    areas: Areas
    flicker: float = NAN


@dataclass(frozen=True)
class Result:
    """A case measured: as it was, and by each contestant in their order.

    `dry`: there was nothing to restore. `note`: what had to be left out, "" for nothing.
    """

    name: str
    kind: Kind
    frames: int
    dry: bool
    masked: bool
    rainy: Figures
    restored: tuple[Figures, ...]
    note: str = ""

    def gain(self, model: int = 0) -> float:
        """PSNR on Y gained over the input in dB; -inf where the input was clean and is no more."""
        return difference(self.restored[model].score.psnr_y, self.rainy.score.psnr_y)


@dataclass(frozen=True)
class Harm:
    """What a model did to a picture that was clean."""

    name: str
    area: Area


@dataclass
class Tally:
    """Adds up the moments of one case for one contestant, in memory that does not grow.

    Moments with nothing to restore have an infinite PSNR: they count only where a case has no others.
    """

    flicker: Flicker = field(default_factory=Flicker)
    _sums: dict[bool, "Sums"] = field(default_factory=dict)

    def add(self, score: Score, areas: Areas, error: Plane, dry: bool) -> None:
        """One moment; `error`: picture less clean on Y."""
        self._sums.setdefault(dry, Sums()).add(score, areas)
        self.flicker.add(error)

    @property
    def dry(self) -> bool:
        """Whether no moment had anything to restore."""
        return False not in self._sums

    def figures(self) -> Figures:
        sums = self._sums[self.dry]
        return Figures(sums.mean(), sums.areas, self.flicker.value)


class Sums:
    """Scores added up."""

    def __init__(self) -> None:
        self._total = np.zeros(4)
        self._count = 0
        self.areas = Areas()

    def add(self, score: Score, areas: Areas) -> None:
        self._total += astuple(score)
        self._count += 1
        self.areas += areas

    def mean(self) -> Score:
        """Infinite where one was."""
        return Score(*map(float, self._total / self._count))


def difference(a: float, b: float) -> float:
    """a - b, 0 for equal ones, infinite ones too."""
    return 0.0 if a == b else a - b


def average(figures: Sequence[Figures]) -> Figures:
    """Of a set: means of the scores and of the clips' flicker; the areas' errors over all pixels at once."""
    flickers = [f.flicker for f in figures if not np.isnan(f.flicker)]
    return Figures(
        mean([f.score for f in figures]),
        sum((f.areas for f in figures), Areas()),
        float(np.mean(flickers)) if flickers else NAN,
    )


def counted(results: Sequence[Result]) -> list[Result]:
    """Those that a set's means are taken over: the ones with rain, or all where none has any."""
    return [result for result in results if not result.dry] or list(results)
