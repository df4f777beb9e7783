"""Is training going wrong? Divergence of any network, and a discriminator or generator that has given up."""

import math
from dataclasses import dataclass, field

from derain.train.steps import Figures

WINDOW = 50
"""Steps whose mean is looked at."""
DIVERGED = 10.0
"""A mean squared error so many times its least mean before, 10 dB, is no noise of small batches."""
WON = 0.99
"""A discriminator that judges so large a share right leaves the generator nothing to learn from."""
ALIKE = 0.1
"""Restored pictures that differ from each other so much less than clean ones are one picture: collapse."""

WON_SENTENCE = (
    "the discriminator has judged nearly all right for {} steps: the generator learns nothing from it; "
    "try a lower discriminator.rate, softer labels (real, fake) or flips"
)
ALIKE_SENTENCE = "the generator has restored all pictures alike for {} steps: it has collapsed"


@dataclass
class Watch:
    """Counts over the steps of a run. `won`: steps on end with a discriminator that has won; `alike`: those
    with a generator that restores every picture alike."""

    errors: list[float] = field(default_factory=list)
    least: float = math.inf
    won: int = 0
    alike: int = 0

    def see(self, figures: Figures) -> str:
        """Takes in a step; gives a warning in a sentence as often as one is due, "" otherwise."""
        self.errors = [*self.errors[1 - WINDOW :], figures.restored]
        if len(self.errors) == WINDOW:
            self.least = min(self.least, sum(self.errors) / WINDOW)
        if figures.accuracy is None or figures.spread is None:
            return ""
        self.won = self.won + 1 if figures.accuracy >= WON else 0
        self.alike = self.alike + 1 if figures.spread < ALIKE else 0
        return self.warning()

    def warning(self) -> str:
        """The sentence that is due at this step."""
        for count, sentence in ((self.won, WON_SENTENCE), (self.alike, ALIKE_SENTENCE)):
            if count == WINDOW or (count > WINDOW and count % 1000 == 0):
                return sentence.format(count)
        return ""

    @property
    def diverged(self) -> bool:
        """Whether the error has grown far above its least."""
        full = len(self.errors) == WINDOW
        return full and sum(self.errors) / WINDOW > DIVERGED * self.least
