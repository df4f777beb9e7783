"""Is training going wrong? Divergence of any network, and a discriminator or generator that has given up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from derain.train.steps import Figures

WINDOW = 50
"""Steps whose middle is looked at: one bad batch is no divergence."""
DIVERGED = 10.0
"""An error so many times its least before, 10 dB, is no noise of small batches."""
LEAST_RAIN = 1e-3
"""The error of rainy pictures is taken for at least this, 30 dB: dry ones are no measure."""
PATIENCE = 1000
"""Steps a network with a discriminator has to find back: the PSNR of such a game swings by 15 dB, and
recovers."""

GAME_WINDOW = 200
"""Steps whose mean tells who wins the game: at its begin each side is ahead for some steps."""
WON = 0.99
"""A discriminator that judges so large a share right leaves the generator nothing to learn from."""
ALIKE = 0.1
"""Restored pictures that differ from each other so much less than clean ones are one picture: collapse."""
AGAIN = 1000
"""Steps until a warning may be given again."""

WON_SENTENCE = (
    "the discriminator judges nearly all right: the generator learns nothing from it; "
    "try a lower discriminator.rate, softer labels (real, fake) or flips"
)
ALIKE_SENTENCE = "the generator restores all pictures alike: it has collapsed, or has not begun to learn"


@dataclass
class Watch:
    """What the steps of a run show.

    The error is that of restored pictures over that of the rainy ones, so that hard batches don't look like
    divergence; `least` is its least so far. `won`, `alike`: batches in which the discriminator judged nearly
    all right, and those whose pictures were restored alike, since the run's begin.
    """

    won: int = 0
    alike: int = 0
    least: float = math.inf
    bad: int = 0
    errors: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    patience: int = 1
    steps: int = 0
    told: dict[str, int] = field(default_factory=dict)

    def see(self, figures: Figures) -> str:
        """Takes in a step; gives a warning in a sentence as often as one is due, "" otherwise."""
        self.weigh(figures.restored / max(figures.rainy, LEAST_RAIN))
        if figures.accuracy is None or figures.spread is None:
            return ""
        self.patience = PATIENCE
        self.steps += 1
        self.won += figures.accuracy >= WON
        self.alike += figures.spread < ALIKE
        self.accuracies = [*self.accuracies[1 - GAME_WINDOW :], figures.accuracy]
        self.spreads = [*self.spreads[1 - GAME_WINDOW :], figures.spread]
        lost = {
            WON_SENTENCE: mean_of(self.accuracies) >= WON,
            ALIKE_SENTENCE: mean_of(self.spreads) < ALIKE,
        }
        return "; ".join(sentence for sentence, so in lost.items() if self.tells(sentence, so))

    def weigh(self, error: float) -> None:
        """Takes in the error of a step.

        The first one counts as a least too, and as 1 at least: a rate that is far too high ruins a network
        before the first window is full. What is no worse than the rainy pictures has not diverged.
        """
        if not self.errors:
            self.least = max(error, 1.0)
        self.errors = [*self.errors[1 - WINDOW :], error]
        if len(self.errors) < WINDOW:
            return
        now = median(self.errors)
        self.bad = self.bad + 1 if now > max(DIVERGED * self.least, 1.0) else 0
        self.least = min(self.least, now)

    def tells(self, sentence: str, so: bool) -> bool:
        """Whether a warning is due: where it is so, and was not told AGAIN steps before."""
        due = so and self.steps - self.told.get(sentence, -AGAIN) >= AGAIN
        if due:
            self.told[sentence] = self.steps
        return due

    @property
    def counts(self) -> dict[str, float]:
        """The counters by the names of their curves; none of a network that trains alone."""
        return {"d_won": float(self.won), "alike": float(self.alike)} if self.accuracies else {}

    @property
    def diverged(self) -> bool:
        """Whether the error has grown far above its least, and stayed there."""
        return self.bad >= self.patience


def mean_of(values: Sequence[float]) -> float:
    """The mean of a whole window; not a number before."""
    return fmean(values) if len(values) == GAME_WINDOW else math.nan
