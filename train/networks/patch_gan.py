"""The 70x70 PatchGAN of "Deraining water drops with GAN" (and of pix2pix): is each patch of a picture real?

C64-C128-C256-C512 and one channel, all 4x4, the first three of stride 2; leaky ReLU after each but the last,
and batch normalisation between but in the first, as in the published pix2pix: the paper gives neither. Each
logit sees 70x70 pixels; they stand 8 apart, the first in the middle of pixels 11 and 12.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.train.networks.gan import SLOPE, initialise, scaled, signed

FIELD = 70
STRIDE = 8
MARGIN = 8
"""Pixels at each border that are nearer to it than half a stride from the nearest logit's middle."""
CHANNELS = (64, 128, 256, 512)


class PatchGan(nn.Module):
    """Rainy and a picture, (N, 3, H, W) in 0..1 each, H, W 24 at least -> logits (N, 1, H/8 - 2, W/8 - 2)."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        counts = [6, *(scaled(channels, width) for channels in CHANNELS)]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(counts)):
            stride = 2 if i < 3 else 1
            # A bias would be taken out again by the normalisation.
            layers.append(nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=i == 0))
            layers += [nn.BatchNorm2d(after)] if i else []
            layers.append(nn.LeakyReLU(SLOPE))
        self.body = nn.Sequential(*layers, nn.Conv2d(counts[-1], 1, 4, padding=1))
        initialise(self)

    def forward(self, rainy: Tensor, picture: Tensor) -> Tensor:
        logits: Tensor = self.body(signed(torch.cat((rainy, picture), dim=1)))
        return logits


def confidence_map(logits: Tensor) -> Tensor:
    """How real each patch seems, 0..1: (N, 1, h, w) of the same."""
    return logits.sigmoid()


def spread(confidence: Tensor, height: int, width: int) -> Tensor:
    """A confidence map (N, 1, h, w) over its picture, (N, 1, `height`, `width`): each value in the middle of
    its patch, linear between, and as the nearest beyond the outermost."""
    rows, columns = confidence.shape[2:]
    inner = F.interpolate(confidence, scale_factor=STRIDE, mode="bilinear", align_corners=False)
    below, right = height - STRIDE * rows - MARGIN, width - STRIDE * columns - MARGIN
    return F.pad(inner, (MARGIN, right, MARGIN, below), mode="replicate")


def confidence_sheet(picture: Tensor, logits: Tensor, share: float = 0.5) -> Tensor:
    """`picture` (N, 3, H, W) in grey under `share` of colour, for sheets of samples: yellow where the
    discriminator takes it for real, blue where not."""
    real = spread(confidence_map(logits), *picture.shape[2:])
    grey = picture.mean(dim=1, keepdim=True).clamp(0, 1)
    return (1 - share) * grey + share * torch.cat((real, real, 1 - real), dim=1)
