"""The losses of Qian 2018, eqs. 2 and 4 to 9, in the paper's symbols.

O and T are (N, 3, H, W) in 0..1: what the generator restored, and the clean truth (R of the
discriminator's). {S} are the decoder's pictures, {A} the attention maps, M the rain mask (N, 1, H, W).
L_MSE is the mean over everything.

Where the text is in doubt: eq. 5 as printed compares the decoder's {S} with attention maps. S_3 is the
restored picture and A has no maps, so {S} are compared with the clean truth at their scale here, as later
versions of the paper and public code have it. The weight of L_GAN in eq. 7 is 1/100, from the same places:
in the text at hand its line is lost.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from derain.train.losses.vgg import VGG16Features
from derain.train.networks.attentive_discriminator import Judged
from derain.train.networks.attentive_gan import attention_maps, scales
from derain.train.networks.network import Restored

THETA = 0.8
LAMBDA = (0.6, 0.8, 1.0)
GAMMA = 0.05
GAN_WEIGHT = 0.01


def scaled_to(full: Tensor, small: Tensor) -> Tensor:
    """`full` (N, c, H, W) averaged to the size of `small`, which divides H and W by one whole number."""
    return F.avg_pool2d(full, full.shape[-1] // small.shape[-1])


def attention_loss(maps: tuple[Tensor, ...], mask: Tensor, theta: float = THETA) -> Tensor:
    """L_ATT({A}, M) of eq. 4: the sum over t = 1 ... N of theta^(N-t) L_MSE(A_t, M)."""
    last = len(maps) - 1
    return torch.stack([theta ** (last - t) * F.mse_loss(a, mask) for t, a in enumerate(maps)]).sum()


def multiscale_loss(
    pictures: tuple[Tensor, ...], truth: Tensor, weights: tuple[float, ...] = LAMBDA
) -> Tensor:
    """L_M({S}, {T}) of eq. 5: the sum of lambda_i L_MSE(S_i, T_i), T_i being T at the size of S_i."""
    pairs = zip(weights, pictures, strict=True)
    return torch.stack([weight * F.mse_loss(s, scaled_to(truth, s)) for weight, s in pairs]).sum()


def perceptual_loss(vgg: VGG16Features, restored: Tensor, truth: Tensor) -> Tensor:
    """L_P(O, T) of eq. 6: L_MSE(VGG(O), VGG(T))."""
    return F.mse_loss(vgg(restored), vgg(truth))


def gan_loss(logit: Tensor) -> Tensor:
    """L_GAN(O) = log(1 - D(O)) of eq. 7, the mean of the batch; `logit` (N, 1) is D's before its sigmoid."""
    return -F.softplus(logit).mean()


def map_loss(restored: Tensor, clean: Tensor, attention: Tensor) -> Tensor:
    """L_map(O, R, A_N) of eq. 9 from D_map(O), D_map(R), both (N, 1, h, w), and A_N at full size."""
    return F.mse_loss(restored, scaled_to(attention, restored)) + clean.square().mean()


@dataclass(frozen=True)
class GeneratorLoss:
    """L_G of eq. 7 by its terms, each with its weight; their sum is L_G.

    `vgg`: None where there are no weights for it. L_P is then left out, and figures are not the paper's.
    """

    vgg: VGG16Features | None = None
    theta: float = THETA
    scales: tuple[float, ...] = LAMBDA
    gan: float = GAN_WEIGHT

    def __call__(
        self, restored: Restored, truth: Tensor, mask: Tensor, judged: Judged | None = None
    ) -> dict[str, Tensor]:
        """`judged`: the discriminator's of O, None for A. Terms: multiscale, attention, perceptual, gan."""
        terms = {"multiscale": multiscale_loss(scales(restored), truth, self.scales)}
        if maps := attention_maps(restored):
            terms["attention"] = attention_loss(maps, mask, self.theta)
        if self.vgg is not None:
            terms["perceptual"] = perceptual_loss(self.vgg, restored.image, truth)
        if judged is not None:
            terms["gan"] = self.gan * gan_loss(judged.logit)
        return terms


@dataclass(frozen=True)
class DiscriminatorLoss:
    """L_D of eq. 8 by its terms, each with its weight; their sum is L_D."""

    gamma: float = GAMMA

    def __call__(self, restored: Judged, clean: Judged, attention: Tensor) -> dict[str, Tensor]:
        """Terms: clean, restored, and map of an attentive discriminator.

        `restored`, `clean`: what the discriminator says of O (detached) and of R. `attention` (N, 1, H, W):
        A_N, or M where the generator has no map.
        """
        terms = {
            "clean": F.softplus(-clean.logit).mean(),
            "restored": F.softplus(restored.logit).mean(),
        }
        if restored.attention is not None and clean.attention is not None:
            found = map_loss(restored.attention, clean.attention, attention.detach())
            terms["map"] = self.gamma * found
        return terms
