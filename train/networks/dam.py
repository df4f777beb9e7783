"""The dual attention model (DAM) of Zhang et al. 2021, sections 3.1 to 3.3, and the parts DAiAM is made of.

Where the paper is silent, or says two things:

- E is called recurrent and has an LSTM, but no number of steps, and nothing is named that is fed back but its
  state. It is a convolutional LSTM here (gates by 3x3 convolutions, no peepholes, state from 0) that looks
  `steps` times at the same features: 4 times, as in Qian 2018, whose attention network this one follows. With
  one step neither its forget gate nor its weights for the state would do anything.
- Padding: zeros, so that sizes are kept. No normalisation: none is named, and tiles stay equal to the frame.
- Activation: the tables write LReLU in the residual blocks and nothing at CNN1, section 4.1 ReLU after every
  convolution but the last. LReLU everywhere but the last: pixels are never negative, so that a ReLU at CNN1
  kills every filter whose weights sum to less than zero. Slope 0.2.
- S- = 1 - S+ keeps eq. 2 exactly. Two convolutions normalised to a sum of 1 (softmax) would be the same
  function with twice the weights. One map for all channels, as it is compared with a mask of one channel.
- The decoders give a correction that is added to the picture they are given; the tables have no such skip
  connection. From N(0, 0.01) they start without it at black pictures: four pairs of 64x64, a quarter wide,
  were at 22.2 dB after 200 steps without it and at 25.4 dB with it.
- N(0, 0.01) is for the paper's widths and its 200,000 steps: features shrink to a tenth at each convolution,
  and it takes long until an attention map says anything. A narrower network, which is for runs of minutes,
  starts from 0.7 of He's deviation, and from a tenth of that where a correction comes out: a quarter wide,
  after 400 steps DAM(odd) had gained 0.9 dB on 16 held-out patches and its map began to follow the rain,
  in place of 0.3 dB and a map that was the same everywhere.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.train.networks.network import Restored

ENCODER, DECODER, RGB = 32, 64, 3
"""Channels of E (table 1), of the decoders (tables 2 and 3), and of a picture."""

STEPS = 4
SLOPE = 0.2
DEVIATION = 0.01
"""Of the Gaussian that weights start from (section 4.1)."""
NARROW, CORRECTION = 0.7, 0.1
"""What a narrower network starts from, times He's deviation; and times that where a correction comes out."""


def scaled(channels: int, width: float) -> int:
    """`width` times the channels, at least 2."""
    return max(2, round(channels * width))


def initialise(network: nn.Module, width: float) -> None:
    """Section 4.1's Gaussian weights, and no bias; of a narrower network larger ones, as the module says."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            narrow = NARROW * (CORRECTION if name.endswith("cnn2") else 1) * he(layer)
            nn.init.normal_(layer.weight, 0, DEVIATION if width >= 1 else narrow)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def he(layer: nn.Conv2d) -> float:
    """The deviation that keeps features as large before LReLU as after it (He 2015)."""
    inputs = layer.weight[0].numel()
    return float((2 / (1 + SLOPE**2) / inputs) ** 0.5)


def convolution(channels_in: int, channels_out: int, bias: bool = True) -> nn.Conv2d:
    """3x3, the size kept."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias)


class ResBlock(nn.Module):
    """Two 3x3 convolutions and a sum, LReLU after the first and after the sum ([50] of the paper)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = convolution(channels, channels), convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), SLOPE)), SLOPE)


class CNN(nn.Module):
    """A 3x3 convolution, LReLU and residual blocks: what E and the decoders begin with (tables 1 to 3)."""

    def __init__(self, channels_in: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.cnn1 = convolution(channels_in, channels)
        self.blocks = nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.blocks(F.leaky_relu(self.cnn1(x), SLOPE)))


class ConvLSTM(nn.Module):
    """A convolutional LSTM that looks `steps` times at the same (N, C, H, W), from an empty state.

    The convolution over what it looks at is the same each time and computed once.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        if steps != int(steps) or steps < 2:
            raise ValueError(f"a ConvLSTM takes 2 steps and more, or it never uses its state, not {steps}")
        self.steps = steps
        self.seen = convolution(channels, 4 * channels)
        self.state = convolution(channels, 4 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The last hidden state h, (N, C, H, W) in -1..1."""
        seen = self.seen(x)
        hidden, cell = lstm_cell(seen, torch.zeros_like(x))
        for _ in range(self.steps - 1):
            hidden, cell = lstm_cell(seen + self.state(hidden), cell)
        return hidden


def lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """The next hidden state and cell, of (N, 4C, H, W) input, forget, output and candidate before their
    activations."""
    i, f, o, candidate = gates.chunk(4, dim=1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(candidate)
    return torch.sigmoid(o) * torch.tanh(cell), cell


class Encoder(nn.Module):
    """E (fig. 3, table 1): one convolution, three residual blocks, one LSTM; F is the LSTM's last output."""

    def __init__(self, channels_in: int, channels: int, steps: int) -> None:
        super().__init__()
        self.cnn = CNN(channels_in, channels, 3)
        self.lstm = ConvLSTM(channels, steps)

    def forward(self, seen: Tensor) -> Tensor:
        return torch.as_tensor(self.lstm(self.cnn(seen)))


class Decoder(nn.Module):
    """D_heavy and D_light with five residual blocks (fig. 4, table 2), D_global with two (table 3)."""

    def __init__(self, channels_in: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.cnn = CNN(channels_in, channels, blocks)
        self.cnn2 = convolution(channels, RGB)

    def forward(self, seen: Tensor, base: Tensor) -> Tensor:
        """`base` (N, 3, H, W) corrected by what the features in `seen` say."""
        return base + torch.as_tensor(self.cnn2(self.cnn(seen)))


class Attended(NamedTuple):
    """What a branch gives: D_heavy's picture (N, 3, H, W), S+ (N, 1, H, W) in 0..1, D_light's picture.

    DAM(zero) has neither a map nor D_light, DAM(odd) has no D_light.
    """

    heavy: Tensor
    attention: Tensor | None = None
    light: Tensor | None = None

    def pictures(self) -> tuple[Tensor, ...]:
        return (self.heavy,) if self.light is None else (self.heavy, self.light)


class Stage(NamedTuple):
    """One DAM or DAiAM's I_o (N, 3, H, W), and what its branches gave: one, or streaks and drops."""

    image: Tensor
    branches: tuple[Attended, ...]

    def pack(self) -> Tensor:
        """All of it as one tensor (N, 3 + sum of the branches', H, W), as `Restored.stages` holds it."""
        parts = [part for branch in self.branches for part in branch if part is not None]
        return torch.cat([self.image, *parts], dim=1)


WHOLE_BRANCH = RGB + 1 + RGB


def unpack(packed: Tensor) -> Stage:
    """The stage that `Stage.pack` made a tensor of."""
    image, branches = packed[:, :RGB], torch.split(packed[:, RGB:], WHOLE_BRANCH, dim=1)
    return Stage(image, tuple(unpack_branch(branch) for branch in branches))


def unpack_branch(packed: Tensor) -> Attended:
    heavy, attention, light = packed[:, :RGB], packed[:, RGB : RGB + 1], packed[:, RGB + 1 :]
    return Attended(heavy, attention if attention.shape[1] else None, light if light.shape[1] else None)


class Branch(nn.Module):
    """A DAM without its D_global: E, the attention of eqs. 1 to 4, D_heavy and D_light (eqs. 6 and 7).

    `maps`: attention maps it uses. 2: heavy and light. 1: heavy alone, without D_light. 0: D_heavy on F as
    it is.
    """

    def __init__(self, maps: int, channels_in: int, width: float, steps: int) -> None:
        super().__init__()
        if maps not in (0, 1, 2):
            raise ValueError(f"a branch has 0, 1 or 2 attention maps, not {maps}")
        features, decoder = scaled(ENCODER, width), scaled(DECODER, width)
        self.encoder = Encoder(channels_in, features, steps)
        self.attention = convolution(features, 1) if maps else None
        self.heavy = Decoder(features + channels_in, decoder, 5)
        self.light = Decoder(features + channels_in, decoder, 5) if maps == 2 else None

    def forward(self, seen: Tensor, base: Tensor) -> Attended:
        features = self.encoder(seen)
        if self.attention is None:
            return Attended(self.heavy(torch.cat((features, seen), 1), base))
        heavy_map = torch.sigmoid(self.attention(features))
        heavy = self.heavy(torch.cat((features * heavy_map, seen), 1), base)
        if self.light is None:
            return Attended(heavy, heavy_map)
        light = self.light(torch.cat((features * (1 - heavy_map), seen), 1), base)
        return Attended(heavy, heavy_map, light)


class Attentive(nn.Module):
    """Branches and the D_global that joins their pictures with the rainy one (eq. 8).

    `channels_in`: of what it sees; its last three are the picture to correct. A later stage of a
    differential-driven network sees more than that picture.
    """

    def __init__(self, branches: int, maps: int, channels_in: int, width: float, steps: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(maps, channels_in, width, steps) for _ in range(branches))
        pictures = branches * max(1, maps) * RGB
        self.decoder = Decoder(pictures + channels_in, scaled(DECODER, width), 2)
        initialise(self, width)

    def stage(self, seen: Tensor) -> Stage:
        base = seen[:, -RGB:]
        given = tuple(branch(seen, base) for branch in self.branches)
        pictures = [picture for branch in given for picture in branch.pictures()]
        return Stage(self.decoder(torch.cat((*pictures, seen), 1), base), given)

    def forward(self, rainy: Tensor) -> Restored:
        return restored((self.stage(rainy),))


class DAM(Attentive):
    """The dual attention model (fig. 2): E, S+ and S-, D_heavy, D_light, D_global.

    With `maps` 1 it is DAM(odd), with 0 DAM(zero) of section 4.5: the paper names their maps and not what is
    left of the network, which here is one decoder beside D_global in both, so that they differ by the map.
    """

    def __init__(self, width: float = 1.0, maps: int = 2, steps: int = STEPS, channels_in: int = RGB) -> None:
        super().__init__(1, maps, channels_in, width, steps)


def restored(stages: tuple[Stage, ...]) -> Restored:
    """The last stage's picture; the first stage's map of heavy rain, of streaks and drops the larger.

    It is the first that looks at the rainy frame alone. `stages`: each packed, to be read by `unpack`.
    """
    maps = [branch.attention for branch in stages[0].branches if branch.attention is not None]
    attention = torch.stack(maps).amax(0) if maps else None
    return Restored(stages[-1].image, attention, tuple(stage.pack() for stage in stages))
