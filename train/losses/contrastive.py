"""A contrastive loss for restoration: in a space of features, near the clean picture, far from the rainy one.

The paper on water drops (discussion) asks for a loss that brings positive pairs together and drives negative
ones apart, and leaves its form open. Chosen is the ratio of contrastive regularisation (Wu et al., CVPR
2021): the clean twin is the positive, the rainy picture itself the negative. It needs no large batch, and
cannot be made nothing by moving away from the rain in a wrong direction.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Features = Callable[[Tensor], Tensor | Sequence[Tensor]]
"""(N, 3, H, W) in 0..1 -> features (N, C, h, w) of one depth, or of several, the shallowest first."""

CHANNELS = (16, 32, 64)
SLOPE = 0.2
EPSILON = 1e-4
"""Keeps the ratio finite where a picture was not rainy."""


class RandomFeatures(nn.Module):
    """Three 3x3 convolutions of stride 2 with fixed weights drawn from `seed`: edges and blobs of many kinds.

    It needs no file of weights, and random filters tell textures apart well enough to compare three versions
    of one scene. Its weights are never trained.
    """

    def __init__(self, seed: int = 0, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        pairs = zip((3, *channels), channels, strict=False)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        for parameter in self.parameters():
            fan = parameter[0].numel() if parameter.dim() > 1 else 1.0
            scale = (2 / fan) ** 0.5 if parameter.dim() > 1 else 0.0
            parameter.requires_grad_(False).normal_(generator=generator).mul_(scale)

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        x = picture * 2 - 1
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), SLOPE)
            found.append(x)
        return tuple(found)


class ContrastiveLoss:
    """The sum over depths i of w_i |f_i(restored) - f_i(clean)| / |f_i(restored) - f_i(rainy)|, means of
    absolute differences.

    `features`: any of that kind that passes gradients to the picture, such as VGG16Features. `weights` w_i,
    one a depth; None for 1 at the deepest and half as much at each before, so that what a picture shows
    counts for more than its pixels, which have a loss of their own.
    """

    def __init__(self, features: Features | None = None, weights: Sequence[float] | None = None) -> None:
        self.features: Features = RandomFeatures() if features is None else features
        self.weights = weights

    def depths(self, picture: Tensor) -> Sequence[Tensor]:
        """The features, one depth's too as a sequence."""
        found = self.features(picture)
        return (found,) if isinstance(found, Tensor) else found

    def __call__(self, restored: Tensor, clean: Tensor, rainy: Tensor) -> Tensor:
        with torch.no_grad():
            positive, negative = self.depths(clean), self.depths(rainy)
        found = self.depths(restored)
        weights = self.weights or [0.5 ** (len(found) - 1 - i) for i in range(len(found))]
        total = restored.new_zeros(())
        for w, anchor, near, far in zip(weights, found, positive, negative, strict=True):
            ratio = ((anchor - near).abs().mean() + EPSILON) / ((anchor - far).abs().mean() + EPSILON)
            total = total + w * ratio
        return total
