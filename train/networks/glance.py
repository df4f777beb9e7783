"""The glance: where a frame may have rain, for next to nothing.

Five strided convolutions down to cells of 32x32 pixels, 0.2 kMAC a pixel. It restores nothing: the pipeline
asks it whether the network that does has to run (docs/bypass.md).
"""

import torch
from torch import Tensor, nn

from derain.engines.card import Tiling
from derain.train.networks.network import Entry, Restored

CELL = 32
CHANNELS = (12, 24, 32, 32, 32)


class Glance(nn.Module):
    """(N, 3, H, W) rainy in 0..1 -> `Restored` with rainy itself as its image; H, W multiples of CELL.

    Its attention (N, 1, H / CELL, W / CELL) is how likely there is rain somewhere in each cell; `stages`: its
    logits, as their loss is only exact on them.
    """

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        a, b, c, d, e = channels
        self.layers = nn.ModuleList((
            nn.Conv2d(3, a, 6, stride=4, padding=1),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
            nn.Conv2d(b, c, 3, stride=2, padding=1),
            nn.Conv2d(c, d, 3, padding=1),
            nn.Conv2d(d, e, 3, stride=2, padding=1),
        ))  # fmt: skip
        self.rain = nn.Conv2d(e, 1, 1)
        for layer in self.layers:
            # torch's own start lets little through five layers, and for 300 steps nothing is learnt.
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, rainy: Tensor) -> Restored:
        features = rainy - 0.5
        for layer in self.layers:
            features = torch.relu(layer(features))
        logits = self.rain(features)
        return Restored(rainy, torch.sigmoid(logits), (logits,))


def glance(width: float = 1.0) -> Glance:
    """Every channel count times `width`, in multiples of 4."""
    return Glance(tuple(max(4, round(channels * width / 4) * 4) for channels in CHANNELS))


NETWORKS: tuple[Entry, ...] = (Entry("glance", "ours", glance, CELL, Tiling.EXACT),)
