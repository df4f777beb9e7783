"""The differential-driven module (Zhang et al. 2021, section 3.5, fig. 6) and networks of several stages.

Where the paper is silent:

- FilterNet: three 2x2 convolutions with LReLU between and a sigmoid after, as its map is called soft; 32
  channels as in E, and one map for the three colours, as it marks regions. A 2x2 kernel has no middle: the
  first and third convolution are padded with zeros below and right, the second above and left, so that sizes
  are kept and a map is half a pixel off its picture. Zero is a difference's value where nothing was removed.
- Which difference makes which map: in the order both are named. A comes from I_i - I_o^t, B from
  I_o^(t-1) - I_o^t; before the first stage the output is I_i, so that after it both are the same.
- What a later stage sees: I_f "with deraining images", so I_f and I_o^t, which it corrects.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.train.networks.dam import ENCODER, RGB, SLOPE, Attentive, initialise, restored, scaled
from derain.train.networks.network import Restored

W = 0.5
"""Of eq. 14 (section 4.1)."""

BELOW_RIGHT, ABOVE_LEFT = (0, 1, 0, 1), (1, 0, 1, 0)


class FilterNet(nn.Module):
    """A difference (N, 3, H, W) in -1..1 -> a soft map (N, 1, H, W) in 0..1 of what needs attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(RGB, channels, 2)
        self.second = nn.Conv2d(channels, channels, 2)
        self.third = nn.Conv2d(channels, 1, 2)

    def forward(self, difference: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(F.pad(difference, BELOW_RIGHT)), SLOPE)
        x = F.leaky_relu(self.second(F.pad(x, ABOVE_LEFT)), SLOPE)
        return torch.sigmoid(self.third(F.pad(x, BELOW_RIGHT)))


class Differential(nn.Module):
    """I_f = I_o^t * A + I_i * B * w (eq. 14): two streams of differences and the one that fuses them."""

    def __init__(self, width: float = 1.0, w: float = W) -> None:
        super().__init__()
        self.a, self.b = (FilterNet(scaled(ENCODER, width)) for _ in range(2))
        self.w = w
        initialise(self, width)

    def forward(self, rainy: Tensor, output: Tensor, previous: Tensor) -> Tensor:
        """I_f of I_i, I_o^t and I_o^(t-1), each (N, 3, H, W)."""
        a, b = self.a(rainy - output), self.b(previous - output)
        return torch.as_tensor(output * a + rainy * b * self.w)


class Cascade(nn.Module):
    """Stages one after another, each correcting the picture of the one before (DAiAM-DAiAM)."""

    def __init__(self, stages: Sequence[Attentive]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, rainy: Tensor) -> Restored:
        image, given = rainy, []
        for network in self.stages:
            assert isinstance(network, Attentive)
            given.append(network.stage(image))
            image = given[-1].image
        return restored(tuple(given))


class DifferentialDriven(nn.Module):
    """Stages with a differential-driven module between two of them (D-DAM, D-DAiAM, D-DAiAM(3)).

    The first stage sees I_i, every later one I_f and I_o^t: `stages` after the first take six channels.
    """

    def __init__(self, stages: Sequence[Attentive], width: float = 1.0, w: float = W) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.differentials = nn.ModuleList(Differential(width, w) for _ in stages[1:])

    def forward(self, rainy: Tensor) -> Restored:
        first, *later = self.stages
        assert isinstance(first, Attentive)
        previous, given = rainy, [first.stage(rainy)]
        for differential, network in zip(self.differentials, later, strict=True):
            assert isinstance(network, Attentive)
            output = given[-1].image
            fused = differential(rainy, output, previous)
            given.append(network.stage(torch.cat((fused, output), 1)))
            previous = output
        return restored(tuple(given))
