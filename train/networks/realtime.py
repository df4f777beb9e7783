"""The family for real time: a small U-shape at a quarter of the frame, gated by its own rain mask.

Levels at 1/4, 1/8 and 1/16 of the frame, all convolutions local and zero-padded, no pooling, so that tiling
with the network's halo equals the whole frame. The first layer (8x8, stride 4) stands where a 4x pixel
unshuffle and a 3x3 convolution would: it needs no transposition, which makes the network 6 to 8 % faster. The
mask head (an attention map in 0..1) gates the correction: where the network sees no rain, the frame passes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.card import Tiling
from derain.train.networks.blocks import Plain, Up
from derain.train.networks.network import Entry, Restored

SHUFFLE = 4
MULTIPLE_OF = 16


@dataclass(frozen=True)
class RealtimeSize:
    """Channels at 1/4, 1/8, 1/16 and residual blocks there (encoder and decoder each; the middle once)."""

    channels: tuple[int, int, int] = (32, 48, 96)
    blocks: tuple[int, int, int] = (1, 1, 3)


def stack(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Plain(channels) for _ in range(count)))


class Realtime(nn.Module):
    """(N, 3, H, W) rainy in 0..1 -> `Restored` with the mask as attention; H, W multiples of 16.

    `stages`: the mask's logits (N, 1, H, W), as its loss is only exact on them.
    """

    def __init__(self, size: RealtimeSize | None = None) -> None:
        super().__init__()
        size = size or RealtimeSize()
        (a, b, c), (na, nb, nc) = size.channels, size.blocks
        self.head = nn.Conv2d(3, a, 8, stride=SHUFFLE, padding=2)
        self.encode1, self.encode2 = stack(a, na), stack(b, nb)
        self.down1 = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.middle = stack(c, nc)
        self.up2, self.up1 = Up(c, b), Up(b, a)
        self.decode2, self.decode1 = stack(b, nb), stack(a, na)
        self.correction = nn.Conv2d(a, 3 * SHUFFLE**2, 3, padding=1)
        self.mask = nn.Conv2d(a, SHUFFLE**2, 1)

    def features(self, rainy: Tensor) -> Tensor:
        """(N, a, H/4, W/4) features after the U."""
        one = self.encode1(torch.relu(self.head(rainy)))
        two = self.encode2(torch.relu(self.down1(one)))
        three = self.middle(torch.relu(self.down2(two)))
        two = self.decode2(two + self.up2(three))
        return torch.as_tensor(self.decode1(one + self.up1(two)))

    def forward(self, rainy: Tensor) -> Restored:
        features = self.features(rainy)
        logits = self.mask(features)
        gate = torch.sigmoid(logits)
        # Gating before the shuffle keeps every multiplication at a quarter of the frame's size.
        gated = self.correction(features) * torch.cat((gate, gate, gate), dim=1)
        image = rainy + F.pixel_shuffle(gated, SHUFFLE)
        return Restored(image, F.pixel_shuffle(gate, SHUFFLE), (F.pixel_shuffle(logits, SHUFFLE),))


def realtime(width: float = 1.0, **size: Any) -> Realtime:
    """`size`: of RealtimeSize, lists as tuples; every channel count times `width`, in multiples of 4."""
    sizes = RealtimeSize(**{key: tuple(value) for key, value in size.items()})
    a, b, c = (max(4, round(channels * width / 4) * 4) for channels in sizes.channels)
    return Realtime(RealtimeSize((a, b, c), sizes.blocks))


NETWORKS: tuple[Entry, ...] = (Entry("realtime", "ours", realtime, MULTIPLE_OF, Tiling.EXACT),)
