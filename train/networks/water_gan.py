"""Experiment 1 of "Deraining water drops with GAN": a plain encoder-decoder that learns from its judge alone.

Encoder: four blocks of 3x3 convolution, batch normalisation and ReLU, a 2x2 average pooling after every
second one, then average pooling and a linear projection to 128 numbers; decoder: a linear layer, then four
blocks of batch normalisation, ReLU, 3x3 convolution and, in every second one, 2x upsampling. 32 channels,
doubled with each halving ("base width of 32 channels scales exponentially").

What the paper leaves open, and what is chosen:
- Size. A linear layer fits one size of picture only. Here both are convolutions whose stride is their
  kernel, so that every cell of 64x64 pixels has 128 numbers of its own: for a 64x64 picture this *is* the
  paper's network, and a larger one may have any size in cells. 96 values of the picture share one number,
  so the blur stays.
- The adaptive pooling: to 4x4 in each cell. To 1x1, no place would be known inside a cell.
- Upsampling: by the nearest pixel, at the end of the decoder's first and third blocks. So each of them has a
  convolution after it, and the last convolution gives the three colours, at full size.
- Output: a tanh, the range of which the input has too, as in the paper's second model.
- The discriminator is not told of the rainy picture (the paper conditions none but pix2pix's), and pools its
  4x4 from the whole picture: one logit a picture.

Batch normalisation uses its running statistics once training is over, so the network is local then: 78 pixels
far at most, and tiles that begin with a cell are exact.
"""

from torch import Tensor, nn

from derain.engines.card import Tiling
from derain.train.networks.gan import initialise, scaled, signed, unsigned
from derain.train.networks.network import Entry, Restored

LATENT = 128
WIDTH = 32
BLOCKS = 4
POOLED = 4
CELL = 64
"""Pixels of a cell's sides."""
SQUEEZED = CELL // 4
"""Sides of a cell after both poolings."""


def encode_block(before: int, after: int, pool: bool) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU, and half the size where `pool`."""
    # A bias would be taken out again by the normalisation.
    layers: list[nn.Module] = [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers, nn.ReLU(), *([nn.AvgPool2d(2)] if pool else []))


def decode_block(before: int, after: int, up: bool) -> nn.Sequential:
    """Batch normalisation, ReLU, 3x3 convolution, and twice the size where `up`."""
    layers: list[nn.Module] = [nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, 3, padding=1)]
    return nn.Sequential(*layers, *([nn.Upsample(scale_factor=2, mode="nearest")] if up else []))


def encoder(width: float) -> nn.Sequential:
    """The four blocks: (N, 3, H, W) in -1..1 -> (N, 64 `width`, H/4, W/4)."""
    counts = [3, *(scaled(WIDTH * 2 ** (i // 2), width) for i in range(BLOCKS))]
    return nn.Sequential(*(encode_block(counts[i], counts[i + 1], bool(i % 2)) for i in range(BLOCKS)))


class WaterGan(nn.Module):
    """The generator: (N, 3, H, W) rainy in 0..1 -> `Restored` with `stages` the latent numbers of each cell,
    (N, 128 `width`, H/64, W/64)."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        wide, latent = scaled(WIDTH * 2, width), scaled(LATENT, width)
        self.encoder = encoder(width)
        self.pool = nn.AvgPool2d(SQUEEZED // POOLED)
        self.to_latent = nn.Conv2d(wide, latent, POOLED, stride=POOLED)
        self.from_latent = nn.ConvTranspose2d(latent, wide, SQUEEZED, stride=SQUEEZED)
        counts = [*(scaled(WIDTH * 2 ** (i // 2), width) for i in reversed(range(BLOCKS))), 3]
        self.decoder = nn.Sequential(
            *(decode_block(counts[i], counts[i + 1], i % 2 == 0) for i in range(BLOCKS))
        )
        initialise(self)

    def forward(self, rainy: Tensor) -> Restored:
        latent = self.to_latent(self.pool(self.encoder(signed(rainy))))
        restored = self.decoder(self.from_latent(latent)).tanh()
        return Restored(unsigned(restored), stages=(latent,))


class WaterGanDiscriminator(nn.Module):
    """The encoder with one linear layer on it: rainy and a picture (N, 3, H, W) in 0..1 -> logits (N, 1).

    It does not look at `rainy`, and takes it to be called as a conditional discriminator is.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = encoder(width)
        self.pool = nn.AdaptiveAvgPool2d(POOLED)
        self.linear = nn.Linear(scaled(WIDTH * 2, width) * POOLED**2, 1)
        initialise(self)

    def forward(self, rainy: Tensor, picture: Tensor) -> Tensor:
        features: Tensor = self.pool(self.encoder(signed(picture)))
        logits: Tensor = self.linear(features.flatten(1))
        return logits


NETWORKS: tuple[Entry, ...] = (
    Entry("water-gan", "Deraining water drops with GAN", WaterGan, CELL, Tiling.EXACT, WaterGanDiscriminator),
)
