"""The game of a generator and a discriminator: binary cross-entropy on logits, labels that are soft and
sometimes wrong, and who is winning.

Logits are (N, ...), one or many a picture: a patch discriminator's (N, 1, h, w) work as a single (N, 1) does.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from derain.engines.errors import UsageError


@dataclass(frozen=True)
class Labels:
    """What the discriminator is told: `real` of clean pictures, `fake` of restored ones, and `flips`, the
    range (low, high) from which each step draws the share of pictures that are told the other way round."""

    real: float = 1.0
    fake: float = 0.0
    flips: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not 0 <= self.fake < self.real <= 1:
            raise UsageError(f"labels take 0 <= fake < real <= 1, not fake {self.fake} and real {self.real}")
        if not 0 <= self.flips[0] <= self.flips[1] <= 1:
            raise UsageError(f"flips takes two shares from 0 to 1, the smaller first, not {self.flips}")


HARD = Labels()


def bce(logits: Tensor, label: float) -> Tensor:
    """-label log s(logits) - (1 - label) log(1 - s(logits)), the mean over all; s is the sigmoid."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def generator_bce(fake: Tensor) -> Tensor:
    """How well the generator fools: cross-entropy of what is judged of restored pictures against 1.

    1, and not a soft label, where the discriminator's are soft: those are to hold the discriminator back, and
    the generator would be told to stop short.
    """
    return bce(fake, 1.0)


def targets(logits: Tensor, labels: Labels, real: bool, rng: np.random.Generator) -> Tensor:
    """Labels of the shape of `logits`, flipped for a share of the pictures; all patches of a picture alike.

    The share is drawn from `labels.flips`, then each picture by it. Without flips `rng` is not used.
    """
    told, other = (labels.real, labels.fake) if real else (labels.fake, labels.real)
    wanted = torch.full_like(logits, told)
    if labels.flips[1] == 0:
        return wanted
    flipped = torch.from_numpy(rng.uniform(size=len(logits)) < rng.uniform(*labels.flips))
    return wanted.masked_fill(flipped.to(logits.device).view(-1, *(1,) * (logits.dim() - 1)), other)


def discriminator_bce(
    real: Tensor, fake: Tensor, labels: Labels = HARD, rng: np.random.Generator | None = None
) -> Tensor:
    """The mean of both cross-entropies: `real` are logits of clean pictures, `fake` those of restored ones.

    Raises UsageError where labels are to be flipped and there is no `rng`.
    """
    if rng is None:
        if labels.flips[1] > 0:
            raise UsageError(f"flips of {labels.flips} need a random generator")
        rng = np.random.default_rng(0)
    told = targets(real, labels, True, rng), targets(fake, labels, False, rng)
    each = [F.binary_cross_entropy_with_logits(*pair) for pair in zip((real, fake), told, strict=True)]
    return (each[0] + each[1]) / 2


def accuracy(real: Tensor, fake: Tensor) -> Tensor:
    """The share of logits on their right side, 0..1, clean and restored pictures counted alike: a half where
    the discriminator guesses, 1 where the generator has lost."""
    return ((real > 0).float().mean() + (fake <= 0).float().mean()) / 2
