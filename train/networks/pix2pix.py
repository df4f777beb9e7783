"""Experiments 2 and 3 of "Deraining water drops with GAN": pix2pix, a U-Net judged by a PatchGAN.

Six blocks down (4x4 convolution of stride 2, batch normalisation, leaky ReLU), five up (4x4 transposed
convolution, ReLU, the encoder's output of the same size beside it), and the output layer, a sixth transposed
convolution with a tanh: six halvings need six doublings, and the paper counts five blocks with a skip.

What the paper leaves open is as in the published pix2pix, whose code it took:
- Channels 64, 128, 256, 512, 512, 512, and back.
- No normalisation in the first block, nor in the last one down: of a 64x64 picture its output is one pixel,
  whose statistics over a batch of one would be nothing.
- Batch normalisation in the blocks up too, before the ReLU.
- The noise z is dropout (0.5) in the second block up, the only place the published code has it at six levels.
  It is off once training is over, and so in what is exported. (pix2pix leaves it on; a video would flicker.)

Batch normalisation uses its running statistics once training is over (pix2pix takes those of the picture at
hand, which for one picture is instance normalisation): so every output depends on its surroundings alone, 189
pixels far, and tiles are exact.
"""

import torch
from torch import Tensor, nn

from derain.engines.card import Tiling
from derain.train.networks.gan import SLOPE, initialise, scaled, signed, unsigned
from derain.train.networks.network import Entry, Restored
from derain.train.networks.patch_gan import PatchGan

CHANNELS = (64, 128, 256, 512, 512, 512)
"""Of the six blocks down."""
DROPOUT = 0.5
NOISY = 1
"""The block up, from 0, that has the dropout."""
MULTIPLE_OF = 64


def down_block(before: int, after: int, normalised: bool) -> nn.Sequential:
    """Half the size: (N, `before`, H, W) -> (N, `after`, H/2, W/2)."""
    # A bias would be taken out again by the normalisation.
    layers: list[nn.Module] = [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not normalised)]
    layers += [nn.BatchNorm2d(after)] if normalised else []
    return nn.Sequential(*layers, nn.LeakyReLU(SLOPE))


def up_block(before: int, after: int, dropout: float) -> nn.Sequential:
    """Twice the size: (N, `before`, H, W) -> (N, `after`, 2H, 2W)."""
    up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
    noise: list[nn.Module] = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(up, nn.BatchNorm2d(after), *noise, nn.ReLU())


class Pix2Pix(nn.Module):
    """The generator: (N, 3, H, W) rainy in 0..1 -> `Restored`, H, W multiples of 64. Nothing in `stages`."""

    def __init__(self, width: float = 1.0, dropout: float = DROPOUT) -> None:
        super().__init__()
        counts = [3, *(scaled(channels, width) for channels in CHANNELS)]
        last = len(CHANNELS) - 1
        self.down = nn.ModuleList(
            down_block(counts[i], counts[i + 1], normalised=0 < i < last) for i in range(last + 1)
        )
        outwards = counts[-2:0:-1]
        inwards = [counts[-1], *(2 * channels for channels in outwards)]
        self.up = nn.ModuleList(
            up_block(inwards[i], outwards[i], dropout if i == NOISY else 0.0) for i in range(last)
        )
        self.output = nn.ConvTranspose2d(inwards[-1], 3, 4, stride=2, padding=1)
        initialise(self)

    def forward(self, rainy: Tensor) -> Restored:
        skips = [signed(rainy)]
        for block in self.down:
            skips.append(block(skips[-1]))
        x = skips.pop()
        for block, skip in zip(self.up, reversed(skips), strict=False):
            x = torch.cat((block(x), skip), dim=1)
        return Restored(unsigned(self.output(x).tanh()))


NETWORKS: tuple[Entry, ...] = tuple(
    Entry(name, "Deraining water drops with GAN", Pix2Pix, MULTIPLE_OF, Tiling.EXACT, PatchGan)
    for name in ("pix2pix", "pix2pix-stabilised")
)
"""Both are the same networks; what sets them apart is their recipes."""
