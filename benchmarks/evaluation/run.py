"""Cases through models in turns: each moment is restored by one after the other, then scored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from derain.benchmarks.evaluation.cases import Case, Moment
from derain.benchmarks.evaluation.contest import Contestant, Restore
from derain.benchmarks.evaluation.figures import Harm, Result, Tally, difference
from derain.engines.quality import luma
from derain.train.evaluate import RGB, Area, Run, areas, compare

CLEAN_STEP = 25
"""Of a clip whose clean twin is fed too, each this many frames."""


@dataclass(frozen=True)
class Restored:
    """A moment, what each contestant made of it, and the PSNR on Y it had and has by the first of them."""

    moment: Moment
    pictures: tuple[RGB, ...]
    before: float
    after: float

    @property
    def gain(self) -> float:
        return difference(self.after, self.before)


Keep: TypeAlias = Callable[[Case, Restored], None]
"""Called with each moment as it comes."""


@dataclass
class SetResults:
    """All of a set. `harms`: by contestant, of each picture that was clean when it was restored."""

    name: str
    title: str
    match: str
    results: list[Result] = field(default_factory=list)
    harms: list[list[Harm]] = field(default_factory=list)


@dataclass
class Measuring:
    """One set on its way: `contestants` in turns, `twins` of the clean pictures fed too, spread evenly.

    `run`: how `compare` goes over a picture's planes.
    """

    contestants: Sequence[Contestant]
    cases: Sequence[Case]
    twins: int
    keep: Sequence[Keep] = ()
    run: Run = map
    harms: list[list[Harm]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.harms = [[] for _ in self.contestants]
        self._chosen = spread(len(self.cases), self.twins)

    def __iter__(self) -> Iterator[tuple[Result, Restored]]:
        """Each case measured, with the moment of it that gained least. Raises DerainError as they do."""
        for index, case in enumerate(self.cases):
            yield self._measure(case, CLEAN_STEP if index in self._chosen else 0)

    def _measure(self, case: Case, step: int) -> tuple[Result, Restored]:
        tallies = [Tally() for _ in range(len(self.contestants) + 1)]
        restores = [contestant.begin(case.kind) for contestant in self.contestants]
        worst: Restored | None = None
        count = 0
        for count, moment in enumerate(case.moments(), 1):
            restored = self._moment(moment, restores, tallies)
            for keep in self.keep:
                keep(case, restored)
            self._harm(case, restored, bool(step) and (count - 1) % step == 0)
            if worst is None or restored.gain < worst.gain:
                worst = restored
        assert worst is not None  # a case has a moment, or has raised
        rainy, *others = (tally.figures() for tally in tallies)
        dry, note = tallies[0].dry, case.left_out()
        return Result(case.name, case.kind, count, dry, case.masked, rainy, tuple(others), note), worst

    def _moment(self, moment: Moment, restores: Sequence[Restore], tallies: Sequence[Tally]) -> Restored:
        pictures = tuple(np.asarray(restore(moment.rainy), np.uint8) for restore in restores)
        dry, compared = moment.dry, compare(moment.clean, (moment.rainy, *pictures), self.run)
        for (score, error), tally in zip(compared, tallies, strict=True):
            tally.add(score, areas(error, moment.mask), error, dry)
        return Restored(moment, pictures, compared[0][0].psnr_y, compared[1][0].psnr_y)

    def _harm(self, case: Case, restored: Restored, feed: bool) -> None:
        """Keeps what was done to clean pixels: the moment's own where it was dry, else its twin if asked.

        A twin stands alone: what a recurrent network remembers of the clip is not touched.
        """
        moment = restored.moment
        if not moment.dry and not feed:
            return
        name = f"{case.name} {moment.at}".strip()
        for index, contestant in enumerate(self.contestants):
            picture = restored.pictures[index] if moment.dry else contestant.restore(moment.clean)
            error = luma(picture) - luma(moment.clean)
            self.harms[index].append(Harm(name, Area(float(np.square(error).sum()), error.size)))


def spread(count: int, wanted: int) -> set[int]:
    """`wanted` of the numbers below `count`, evenly spread, all where there are not so many."""
    if wanted >= count:
        return set(range(count))
    return {index * count // wanted for index in range(wanted)}
