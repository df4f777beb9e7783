"""The losses of "Deraining water drops with GAN": BCE; in pix2pix BCE + lambda L1; and its future work."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from derain.train.losses.adversarial import Labels, accuracy, discriminator_bce, generator_bce
from derain.train.losses.contrastive import ContrastiveLoss

Judge = Callable[[Tensor, Tensor], Tensor]
"""A discriminator: (rainy, picture) -> logits, (N, 1) or (N, 1, h, w)."""

LAMBDA = 100.0
"""The weight of L1 in experiments 2 and 3; experiment 1 has no such term."""


class DiscriminatorLoss(NamedTuple):
    """What the discriminator minimises, and its accuracy, 0..1 (figure 8)."""

    total: Tensor
    accuracy: Tensor


def generator_loss(
    judge: Judge,
    pictures: tuple[Tensor, Tensor, Tensor],
    l1: float = LAMBDA,
    contrast: float = 0.0,
    contrastive: ContrastiveLoss | None = None,
) -> dict[str, Tensor]:
    """Terms of `pictures` (rainy, restored, clean), whose sum is the loss, for the curves (figures 4 and 7).

    BCE of being taken for real, `l1` |restored - clean|, and `contrast` times the loss of the paper's future
    work; what weighs 0 has no term. `contrastive`: None for its default features.
    """
    rainy, restored, clean = pictures
    terms = {"adversarial": generator_bce(judge(rainy, restored))}
    if l1:
        terms["l1"] = l1 * F.l1_loss(restored, clean)
    if contrast:
        terms["contrast"] = contrast * (contrastive or ContrastiveLoss())(restored, clean, rainy)
    return terms


def discriminator_loss(
    judge: Judge,
    pictures: tuple[Tensor, Tensor, Tensor],
    labels: Labels,
    rng: np.random.Generator,
) -> DiscriminatorLoss:
    """The mean of BCE on clean and on restored, of `pictures` (rainy, restored, clean), with `labels`, whose
    flips come from `rng`. No gradient reaches the generator."""
    rainy, restored, clean = pictures
    real, fake = judge(rainy, clean), judge(rainy, restored.detach())
    total = discriminator_bce(real, fake, labels, rng)
    return DiscriminatorLoss(total, accuracy(real.detach(), fake.detach()))
