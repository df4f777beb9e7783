"""What networks minimise, one objective a paper, by the names recipes give them.

An objective gives its terms by name, each as it counts, so that their sum is the loss and the curves show
them apart. `Game`s have a discriminator as well.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from derain.engines.errors import UsageError
from derain.train.degradations.joint_masks import Scale
from derain.train.degradations.masks import QIAN_DIFFERENCE
from derain.train.fields import GIVEN, build, ranged
from derain.train.losses import adversarial, attentive_gan, daiam, eigen, spanet, water_gan
from derain.train.losses.contrastive import ContrastiveLoss
from derain.train.losses.glance import cells_loss
from derain.train.losses.restoration import charbonnier, maps_loss, spectrum
from derain.train.losses.vgg import VGG16Features, load_vgg16
from derain.train.networks import attentive_gan as attentive_networks
from derain.train.networks import daiam as daiam_networks
from derain.train.networks import eigen as eigen_networks
from derain.train.networks import glance as glance_networks
from derain.train.networks import pix2pix, realtime
from derain.train.networks import water_gan as water_networks
from derain.train.networks.eigen import Eigen2013Patch
from derain.train.networks.network import Entry, Restored
from derain.train.patches import Batch
from derain.train.recipe import Recipe

Terms: TypeAlias = dict[str, Tensor]
Judge: TypeAlias = Callable[..., Any]
"""A discriminator, called as its paper has it."""


class Verdict(NamedTuple):
    """What the discriminator minimises by its terms, and the share of pictures it judged right, 0..1."""

    terms: Terms
    accuracy: Tensor


@dataclass(frozen=True)
class Objective(ABC):
    """Of a network that trains alone. `apart`: it needs the masks of drops and of streaks each for itself, in
    that scale."""

    apart: ClassVar[Scale | None] = None

    @abstractmethod
    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        """What the network minimises; `judge` is None where it trains alone."""

    def networks(self) -> tuple[Entry, ...] | None:
        """Those that give what its terms look at; None for all that train alone."""
        return None

    def helpers(self) -> tuple[nn.Module, ...]:
        """The fixed networks its terms look through."""
        return ()

    def restore(self, network: nn.Module, rainy: Tensor) -> Restored:
        """What is compared with the clean picture: the whole of it, or its middle."""
        restored: Restored = network(rainy)
        return restored


@dataclass(frozen=True)
class Game(Objective):
    """Of a network and its discriminator."""

    @abstractmethod
    def verdict(self, restored: Restored, batch: Batch, judge: Judge, rng: np.random.Generator) -> Verdict:
        """What the discriminator minimises, of a `restored` without gradients; `rng` flips labels."""


@dataclass(frozen=True)
class Restoration(Objective):
    """Ours, of the real-time family: Charbonnier that counts more where it rains, the spectra's difference,
    and the loss of both attention maps."""

    apart: ClassVar[Scale | None] = "absolute"
    mask_weight: float = ranged(0, default=4.0)
    spectrum: float = ranged(0, default=0.1)
    attention: float = ranged(0, default=0.05)

    def networks(self) -> tuple[Entry, ...]:
        return realtime.NETWORKS

    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        assert batch.drops is not None and batch.streaks is not None
        maps = torch.cat((batch.drops, batch.streaks), dim=1)
        return {
            "charbonnier": charbonnier(restored.image, batch.clean, batch.mask, self.mask_weight),
            "spectrum": self.spectrum * spectrum(restored.image, batch.clean),
            "attention": self.attention * maps_loss(restored.stages[0], maps),
        }


@dataclass(frozen=True)
class Glance(Objective):
    """Ours, of the network that only looks: its cells' cross-entropy, where rain it misses counts `miss`
    times."""

    miss: float = ranged(0, default=4.0)

    def networks(self) -> tuple[Entry, ...]:
        return glance_networks.NETWORKS

    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        return {"cells": cells_loss(restored.stages[0], batch.mask, self.miss)}


@dataclass(frozen=True)
class Eigen(Objective):
    """Eigen 2013, section 2.2: the error of the averaged picture, or, `patches`, of each patch for itself.

    `mean`: per value instead of per picture, so that the rate does not depend on the crop.
    """

    patches: bool = False
    mean: bool = False

    def networks(self) -> tuple[Entry, ...]:
        return tuple(n for n in eigen_networks.NETWORKS if n.build is Eigen2013Patch or not self.patches)

    def restore(self, network: nn.Module, rainy: Tensor) -> Restored:
        restored: Restored = network(rainy, valid=True)
        return restored

    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        if self.patches:
            error = eigen.patch_error(restored.stages[0], batch.clean)
            values = restored.stages[0].shape[1]
        else:
            error = eigen.squared_error(restored.image, batch.clean)
            values = restored.image[0].numel()
        return {"error": 2 * error / values if self.mean else error}


@dataclass(frozen=True)
class AttentiveGan(Game):
    """Qian 2018, eqs. 4 to 9. `vgg`: None where no weights were given; L_P then falls away."""

    theta: float = ranged(0, 1, attentive_gan.THETA)
    scales: tuple[float, float, float] = ranged(0, default=attentive_gan.LAMBDA)
    gan: float = ranged(0, default=attentive_gan.GAN_WEIGHT)
    gamma: float = ranged(0, default=attentive_gan.GAMMA)
    vgg: VGG16Features | None = field(default=None, metadata=GIVEN)

    def networks(self) -> tuple[Entry, ...]:
        return attentive_networks.NETWORKS

    def helpers(self) -> tuple[nn.Module, ...]:
        return () if self.vgg is None else (self.vgg,)

    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        loss = attentive_gan.GeneratorLoss(self.vgg, self.theta, self.scales, self.gan)
        judged = judge(restored.image) if judge else None
        return loss(restored, batch.clean, self.mask(batch), judged)

    def verdict(self, restored: Restored, batch: Batch, judge: Judge, rng: np.random.Generator) -> Verdict:
        fake, real = judge(restored.image), judge(batch.clean)
        attention = self.mask(batch) if restored.attention is None else restored.attention
        terms = attentive_gan.DiscriminatorLoss(self.gamma)(fake, real, attention)
        return Verdict(terms, adversarial.accuracy(real.logit, fake.logit))

    def mask(self, batch: Batch) -> Tensor:
        """M of section 4: 1 where a colour differs by more than 30 of 255."""
        return spanet.rain_map(batch.rainy, batch.clean, QIAN_DIFFERENCE)


@dataclass(frozen=True)
class Spanet(Objective):
    """SPANet 2019, eq. 6."""

    attention: float = ranged(0, default=1.0)

    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        return spanet.SpanetLoss(self.attention)(restored, batch.rainy, batch.clean)


@dataclass(frozen=True)
class Pix2Pix(Game):
    """Deraining water drops with GAN: BCE, `l1` times L1, and `contrast` times the contrastive loss of its
    future work. The labels and their flips are the recipe's."""

    l1: float = ranged(0, default=water_gan.LAMBDA)
    contrast: float = ranged(0, default=0.0)
    labels: adversarial.Labels = field(default=adversarial.HARD, metadata=GIVEN)
    contrastive: ContrastiveLoss | None = field(default=None, metadata=GIVEN)

    def networks(self) -> tuple[Entry, ...]:
        return water_networks.NETWORKS + pix2pix.NETWORKS

    def helpers(self) -> tuple[nn.Module, ...]:
        features = None if self.contrastive is None else self.contrastive.features
        return (features,) if isinstance(features, nn.Module) else ()

    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        assert judge is not None
        pictures = batch.rainy, restored.image, batch.clean
        return water_gan.generator_loss(judge, pictures, self.l1, self.contrast, self.contrastive)

    def verdict(self, restored: Restored, batch: Batch, judge: Judge, rng: np.random.Generator) -> Verdict:
        pictures = batch.rainy, restored.image, batch.clean
        found = water_gan.discriminator_loss(judge, pictures, self.labels, rng)
        return Verdict({"adversarial": found.total}, found.accuracy)


@dataclass(frozen=True)
class DAiAM(Objective):
    """DAiAM 2021, eqs. 5 to 15."""

    apart: ClassVar[Scale | None] = "picture"
    alpha: float = ranged(0, default=0.8)
    beta1: float = ranged(0, default=1.0)
    beta2: float = ranged(0, default=0.3)
    branches: bool = True

    def networks(self) -> tuple[Entry, ...]:
        return daiam_networks.NETWORKS

    def terms(self, restored: Restored, batch: Batch, judge: Judge | None) -> Terms:
        assert batch.drops is not None and batch.streaks is not None
        balance = daiam.Balance(self.alpha, self.beta1, self.beta2)
        return {
            "daiam": daiam.DAiAMLoss(balance, self.branches)(
                restored, batch.clean, batch.drops, batch.streaks
            )
        }


OBJECTIVES: Mapping[str, type[Objective]] = {
    "restoration": Restoration,
    "glance": Glance,
    "eigen": Eigen,
    "attentive-gan": AttentiveGan,
    "spanet": Spanet,
    "pix2pix": Pix2Pix,
    "daiam": DAiAM,
}
"""By the name of a recipe's [loss]."""

WITHOUT_VGG = (
    "no --vgg16 was given: the perceptual loss (eq. 6) falls away, and the figures are not the paper's; "
    "give torchvision's vgg16 state dict for it"
)


def objective_of(recipe: Recipe, vgg16: Path | None = None) -> Objective:
    """The objective of a recipe; `vgg16`: weights for losses that look through VGG16.

    Raises UsageError for a loss that isn't there and for weights of terms that it hasn't.
    """
    kind = OBJECTIVES.get(recipe.loss.name)
    if kind is None:
        raise UsageError(f"[loss] name takes {', '.join(OBJECTIVES)}, not {recipe.loss.name!r}")
    objective = build(kind, recipe.loss.weights, "[loss] weights")
    if isinstance(objective, AttentiveGan):
        return replace(objective, vgg=load_vgg16(vgg16) if vgg16 else None)
    if isinstance(objective, Pix2Pix):
        told = recipe.discriminator
        labels = adversarial.Labels(told.real, told.fake, told.flips)
        return replace(
            objective, labels=labels, contrastive=ContrastiveLoss() if objective.contrast else None
        )
    return objective


def refused(network: Entry, objective: Objective, name: str) -> str:
    """Why the objective of that name can't train a network, in a sentence; "" where it can."""
    known = objective.networks()
    if known is not None and network not in known:
        return f"{name} trains {', '.join(one.name for one in known)}, not {network.name}"
    if network.discriminator is not None and not isinstance(objective, Game):
        games = [n for n, kind in OBJECTIVES.items() if network in (kind().networks() or ())]
        return f"{name} has nothing for the discriminator of {network.name}; it takes {', '.join(games)}"
    return ""


def missing(objective: Objective) -> str:
    """What the objective can't count for want of weights, in a sentence; "" where nothing is missing."""
    return WITHOUT_VGG if isinstance(objective, AttentiveGan) and objective.vgg is None else ""
