"""Qian 2018, section 4.2: the discriminators, plain (D) and attentive (AD).

Seven convolutions of 3x3, a fully connected layer of 1024 and one neuron. The attentive one extracts a map
from the features of the last third convolution (the fifth), multiplies them by it, and goes on with the
sixth.

Where the paper is silent:

- Widths 8, 16, 32, 64, 128, then 64 and 32. Strides of 2 at the second, fourth, sixth and seventh, so that
  the fully connected layer sees what 45 pixels show together, not 15 as without strides; the map is then at
  a quarter of the size.
- The CNN that makes the map is one 3x3 convolution; a sigmoid keeps the map in 0..1, as the map it must
  equal is.
- A fully connected layer takes one size only. Here it sees the averages of the last features in a grid of
  4x4: pictures of any size fit, and it still knows roughly where things are. In 64x64 crops nothing is
  averaged.
- relu after each convolution (figure 2) and after the 1024, which would be one layer with the neuron
  otherwise.
- The neuron's sigmoid is in the losses, as logarithms of it are only exact so: `logit` here.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from derain.train.networks.attentive_layers import channels, conv_relu

INTERIOR = (8, 16, 32, 64, 128)
LAST = (64, 32)
STRIDES = (1, 2, 1, 2, 1)
GRID = 4
FULLY_CONNECTED = 1024


class Judged(NamedTuple):
    """What a discriminator says.

    `logit` (N, 1): D(picture) is its sigmoid, 1 for clean. `attention` (N, 1, H/4, W/4) in 0..1:
    D_map(picture), None where the discriminator has none.
    """

    logit: Tensor
    attention: Tensor | None = None


class Discriminator(nn.Module):
    """D: (N, 3, H, W) in 0..1 -> `Judged` without a map; H, W multiples of 4."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        counts = (3, *(channels(count, width) for count in INTERIOR))
        self.interior = nn.Sequential(
            *(
                conv_relu(before, after, stride=stride)
                for (before, after), stride in zip(pairwise(counts), STRIDES, strict=True)
            )
        )
        sixth, seventh = (channels(count, width) for count in LAST)
        self.last = nn.Sequential(conv_relu(counts[-1], sixth, stride=2), conv_relu(sixth, seventh, stride=2))
        units = channels(FULLY_CONNECTED, width)
        self.decide = nn.Sequential(
            nn.AdaptiveAvgPool2d(GRID),
            nn.Flatten(),
            nn.Linear(seventh * GRID**2, units),
            nn.ReLU(),
            nn.Linear(units, 1),
        )

    def forward(self, picture: Tensor) -> Judged:
        return Judged(self.decide(self.last(self.interior(picture))))


class AttentiveDiscriminator(Discriminator):
    """AD: (N, 3, H, W) in 0..1 -> `Judged` with D_map; H, W multiples of 4."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        self.map = nn.Conv2d(channels(INTERIOR[-1], width), 1, 3, padding=1)

    def forward(self, picture: Tensor) -> Judged:
        features = self.interior(picture)
        attention = torch.sigmoid(self.map(features))
        return Judged(self.decide(self.last(features * attention)), attention)
