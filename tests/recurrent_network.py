"""A small network that remembers: features at a quarter of the frame, and the restored frame at an eighth."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.card import Tiling
from derain.train.networks.network import Entry, Restored
from derain.train.networks.recurrent import States, no_memory

CELL, SMALLER = 4, 2
MULTIPLE_OF = 8


class Remembering(nn.Module):
    """(N, 3, H, W) rainy in 0..1, H and W multiples of 8 -> `Restored` with an attention map.

    What it remembers is added to the features behind its first layer.
    """

    def __init__(self, channels: int, maps: bool = True) -> None:
        super().__init__()
        self.state_shapes = ((channels, CELL), (3, CELL * SMALLER))
        self.head = nn.Conv2d(3, channels, 2 * CELL, stride=CELL, padding=CELL // 2)
        self.remembered = nn.Conv2d(channels + 3, channels, 3, padding=1)
        self.middle = nn.Conv2d(channels, channels, 3, padding=1)
        self.correction = nn.Conv2d(channels, 3 * CELL**2, 1)
        self.map = nn.Conv2d(channels, CELL**2, 1) if maps else None

    def forward(self, rainy: Tensor, states: States | None = None) -> Restored:
        before, picture = states or no_memory(self, rainy)
        memory = torch.cat((before, F.interpolate(picture, scale_factor=float(SMALLER))), 1)
        features = torch.relu(self.middle(torch.relu(self.head(rainy) + self.remembered(memory))))
        image = rainy + F.pixel_shuffle(self.correction(features), CELL)
        attention = None if self.map is None else torch.sigmoid(F.pixel_shuffle(self.map(features), CELL))
        return Restored(image, attention, (), (features, F.avg_pool2d(image, CELL * SMALLER)))


def remembering(width: float = 1.0, **size: Any) -> Remembering:
    return Remembering(max(4, round(16 * width)), **size)


ENTRY = Entry("remembering", "a test's", remembering, MULTIPLE_OF, Tiling.EXACT)
