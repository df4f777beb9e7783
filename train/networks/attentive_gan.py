"""Qian, Tan, Yang, Su, Liu: Attentive Generative Adversarial Network for Raindrop Removal, CVPR 2018.

Two parts (section 4.1, figure 2): the attentive-recurrent network finds raindrops and what surrounds them
in N = 4 steps, the contextual autoencoder (figure 4) paints the clean picture from the rainy one and the
last attention map. The discriminators are in `attentive_discriminator.py`, the losses in
`losses/attentive_gan.py`.

The variants of table 1: `attentive-gan-a` is the autoencoder alone (its input is the picture, no map),
`attentive-gan-a-d` the same against a plain discriminator, `attentive-gan-a-ad` the same against the
attentive one, `attentive-gan` (AA+AD) the whole. A without a map has none to show the attentive
discriminator: the rain mask M takes the place of A_N there, which is what A_N is trained towards.

`stages` of what forward returns: the decoder's pictures S_1, S_2, S_3 at 1/4, 1/2 and 1 of the size (S_3 is
the image), then the attention maps A_1 ... A_N where there are any; `scales` and `attention_maps` part
them.

Where the paper is silent:

- Widths: 32 channels in the recurrent network, 64, 128, 256 at 1, 1/2, 1/4 in the autoencoder, its first
  kernel 5x5, as public code of it has them; all other kernels 3x3.
- Steps share their weights, as recurrent networks do. A residual layer is two convolutions and a sum.
- The convolutions after the ConvLSTM are two, and end in a sigmoid: section 4.1 wants the map in 0..1.
- The peephole weights W_ci, W_cf, W_co of eq. 3 are one number a channel, for a weight a pixel would fix
  the size.
- The sixteen conv-relu blocks: six that encode, four dilated by 2, 4, 8, 16 (wide context at 1/4 of the
  size), six that decode, two of which are transposed with 4x4 kernels: as even as the stride, they leave no
  chequered pattern. Skip connections add conv1 and conv3 to what is decoded at their size. S_1, S_2, S_3
  come of the last fifth, third and first block, each by a 3x3 convolution without relu.
- No normalisation: statistics of the frame would forbid tiling. Instead weights start after He, so that
  sixteen layers neither lose nor blow up what passes. Borders are zero-padded. Values stay in 0..1 inside.
"""

import math

import torch
from torch import Tensor, nn

from derain.engines.card import Tiling
from derain.train.networks.attentive_discriminator import AttentiveDiscriminator, Discriminator
from derain.train.networks.attentive_layers import channels, conv_relu
from derain.train.networks.network import Entry, Restored

STEPS = 4
"""N."""
RESIDUAL_LAYERS = 5
INITIAL_ATTENTION = 0.5
SCALES = 3
DILATIONS = (2, 4, 8, 16)
MULTIPLE_OF = 4


class ResidualLayer(nn.Module):
    """Two 3x3 convolutions and a sum: (N, c, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_relu(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class ConvLSTM(nn.Module):
    """The convolutional LSTM unit of eq. 3: X_t, H_{t-1}, C_{t-1} -> H_t, C_t, all (N, c, H, W).

    `gates` holds W_x and W_h side by side, and b, of the gates i, f, o and of the candidate c, in this order.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.gates = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.w_ci, self.w_cf, self.w_co = (nn.Parameter(torch.zeros(width, 1, 1)) for _ in range(3))

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        i, f, o, candidate = self.gates(torch.cat((x, hidden), dim=1)).chunk(4, dim=1)
        i = torch.sigmoid(i + self.w_ci * cell)
        f = torch.sigmoid(f + self.w_cf * cell)
        cell = f * cell + i * torch.tanh(candidate)
        o = torch.sigmoid(o + self.w_co * cell)
        return o * torch.tanh(cell), cell


class AttentiveRecurrent(nn.Module):
    """ATT of section 4.1: (N, 3, H, W) rainy in 0..1 -> A_1 ... A_N, each (N, 1, H, W) in 0..1."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        features = channels(32, width)
        self.head = conv_relu(4, features)
        self.residual = nn.Sequential(*(ResidualLayer(features) for _ in range(RESIDUAL_LAYERS)))
        self.lstm = ConvLSTM(features)
        self.convs = nn.Sequential(
            conv_relu(features, features), nn.Conv2d(features, 1, 3, padding=1), nn.Sigmoid()
        )

    def forward(self, rainy: Tensor) -> tuple[Tensor, ...]:
        attention = torch.full_like(rainy[:, :1], INITIAL_ATTENTION)
        hidden = cell = torch.zeros_like(attention).expand(-1, self.lstm.width, -1, -1)
        maps: list[Tensor] = []
        for _ in range(STEPS):
            hidden, cell = self.lstm(self.features(rainy, attention), hidden, cell)
            attention = self.convs(hidden)
            maps.append(attention)
        return tuple(maps)

    def features(self, rainy: Tensor, attention: Tensor) -> Tensor:
        """X_t: what the residual layers see in F_{t-1}, the rainy picture beside the map before."""
        return torch.as_tensor(self.residual(self.head(torch.cat((rainy, attention), dim=1))))


class Deconv(nn.Sequential):
    """A conv-relu block that doubles the size: a transposed 4x4 convolution of stride 2."""

    def __init__(self, deep: int, shallow: int) -> None:
        layer = nn.ConvTranspose2d(deep, shallow, 4, stride=2, padding=1)
        # After He: four of the sixteen taps meet in a pixel.
        nn.init.normal_(layer.weight, 0, math.sqrt(2 / (4 * deep)))
        super().__init__(layer, nn.ReLU())


class ContextualAutoencoder(nn.Module):
    """Figure 4: (N, `inputs`, H, W) -> S_1, S_2, S_3, three pictures (N, 3, h, w) at 1/4, 1/2, 1 of the size.

    `inputs`: 4, the rainy picture and A_N, or 3, the picture alone.
    """

    def __init__(self, inputs: int, width: float = 1.0) -> None:
        super().__init__()
        full, half, quarter = (channels(count, width) for count in (64, 128, 256))
        self.conv1 = conv_relu(inputs, full, kernel=5)
        self.conv2 = conv_relu(full, half, stride=2)
        self.conv3 = conv_relu(half, half)
        self.conv4 = conv_relu(half, quarter, stride=2)
        self.conv5, self.conv6 = conv_relu(quarter, quarter), conv_relu(quarter, quarter)
        self.dilated = nn.Sequential(*(conv_relu(quarter, quarter, dilation=rate) for rate in DILATIONS))
        self.conv7, self.conv8 = conv_relu(quarter, quarter), conv_relu(quarter, quarter)
        self.deconv1, self.conv9 = Deconv(quarter, half), conv_relu(half, half)
        self.deconv2, self.conv10 = Deconv(half, full), conv_relu(full, channels(32, width))
        self.output1, self.output2, self.output3 = (
            nn.Conv2d(count, 3, 3, padding=1) for count in (quarter, half, channels(32, width))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        full = self.conv1(x)
        half = self.conv3(self.conv2(full))
        quarter = self.conv6(self.conv5(self.conv4(half)))
        quarter = self.conv8(self.conv7(self.dilated(quarter)))
        half = self.conv9(half + self.deconv1(quarter))
        full = self.conv10(full + self.deconv2(half))
        return self.output1(quarter), self.output2(half), self.output3(full)


class A(nn.Module):
    """The autoencoder alone: (N, 3, H, W) rainy in 0..1 -> `Restored` without attention."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.autoencoder = ContextualAutoencoder(3, width)

    def forward(self, rainy: Tensor) -> Restored:
        pictures = self.autoencoder(rainy)
        return Restored(pictures[-1], stages=pictures)


class AA(nn.Module):
    """The attentive autoencoder: (N, 3, H, W) rainy in 0..1 -> `Restored` with A_N as its attention."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.attentive_recurrent = AttentiveRecurrent(width)
        self.autoencoder = ContextualAutoencoder(4, width)

    def forward(self, rainy: Tensor) -> Restored:
        maps = self.attentive_recurrent(rainy)
        pictures = self.autoencoder(torch.cat((rainy, maps[-1]), dim=1))
        return Restored(pictures[-1], maps[-1], (*pictures, *maps))


def scales(restored: Restored) -> tuple[Tensor, ...]:
    """{S}: the pictures at 1/4, 1/2 and 1 of the size."""
    return restored.stages[:SCALES]


def attention_maps(restored: Restored) -> tuple[Tensor, ...]:
    """{A}: the maps of all steps; empty for A."""
    return restored.stages[SCALES:]


PAPER = "Qian 2018"
NETWORKS: tuple[Entry, ...] = (
    Entry("attentive-gan", PAPER, AA, MULTIPLE_OF, Tiling.EXACT, AttentiveDiscriminator),
    Entry("attentive-gan-a", PAPER, A, MULTIPLE_OF, Tiling.EXACT),
    Entry("attentive-gan-a-d", PAPER, A, MULTIPLE_OF, Tiling.EXACT, Discriminator),
    Entry("attentive-gan-a-ad", PAPER, A, MULTIPLE_OF, Tiling.EXACT, AttentiveDiscriminator),
)
