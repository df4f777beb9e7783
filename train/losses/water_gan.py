"""The losses of "Deraining water drops with GAN": BCE; in pix2pix BCE + lambda L1; and its future work."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from derain.train.losses.adversarial import accuracy, discriminator_bce, generator_bce
from derain.train.losses.contrastive import ContrastiveLoss
from derain.train.networks.gan import Experiment

Judge = Callable[[Tensor, Tensor], Tensor]
"""A discriminator: (rainy, picture) -> logits, (N, 1) or (N, 1, h, w)."""

CONTRAST = 10.0
"""The weight of the contrastive loss where it is wanted: a tenth of lambda, as of the L1 loss in Wu et al."""


class GeneratorLoss(NamedTuple):
    """What the generator minimises, and its parts before weights, for the curves (figures 4 and 7)."""

    total: Tensor
    adversarial: Tensor
    l1: Tensor
    contrast: Tensor


class DiscriminatorLoss(NamedTuple):
    """What the discriminator minimises, and its accuracy, 0..1 (figure 8)."""

    total: Tensor
    accuracy: Tensor


def generator_loss(
    experiment: Experiment,
    judge: Judge,
    pictures: tuple[Tensor, Tensor, Tensor],
    contrast: ContrastiveLoss | None = None,
) -> GeneratorLoss:
    """BCE of being taken for real + lambda |restored - clean|, of `pictures` (rainy, restored, clean).

    Experiment 1 has no L1 term (lambda 0). `contrast`: adds the loss of the paper's future work.
    """
    rainy, restored, clean = pictures
    adversarial = generator_bce(judge(rainy, restored))
    l1 = F.l1_loss(restored, clean)
    far = contrast(restored, clean, rainy) if contrast else l1.new_zeros(())
    return GeneratorLoss(adversarial + experiment.l1 * l1 + CONTRAST * far, adversarial, l1, far)


def discriminator_loss(
    experiment: Experiment,
    judge: Judge,
    pictures: tuple[Tensor, Tensor, Tensor],
    rng: np.random.Generator,
) -> DiscriminatorLoss:
    """The mean of BCE on clean and on restored, of `pictures` (rainy, restored, clean), with the experiment's
    labels, whose flips come from `rng`. No gradient reaches the generator."""
    rainy, restored, clean = pictures
    real, fake = judge(rainy, clean), judge(rainy, restored.detach())
    total = discriminator_bce(real, fake, experiment.labels, rng)
    return DiscriminatorLoss(total, accuracy(real.detach(), fake.detach()))
