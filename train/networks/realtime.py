"""The real-time family: one architecture at three sizes, for drops and streaks in one pass.

A U-shape whose finest level is a quarter of the frame, all convolutions local and zero-padded, no pooling, so
that tiling with the network's halo equals the whole frame. The first layer (8x8, stride 4) stands where a 4x
pixel unshuffle and a 3x3 convolution would: it needs no transposition, which makes the network quicker.

The attention head sees drops and streaks, a map each, a value for each cell of 4x4 pixels. Their greater one
gates the correction: below LEAST it is exactly 0, and so dry pixels come back bit for bit.

With `memory` a network is recurrent: of the frame before it keeps its last features, narrowed, and the
restored picture as one more convolution sees it, both a value for each cell, and adds what they say to what
the first layer sees. Nothing is aligned: 3x3 convolutions at a quarter of the frame and the U behind them see
where things went.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.engines.card import Tiling
from derain.train.networks.blocks import BLOCKS, Up
from derain.train.networks.network import Entry, Restored
from derain.train.networks.recurrent import States, no_memory

MAPS = ("drops", "streaks")
MULTIPLE_OF = 32
"""Pixels a side that the deepest level keeps as one."""
LEAST = 0.05
"""Attention below this is none; derain.engines.maps takes the same for none, where rain is kept."""


@dataclass(frozen=True)
class Size:
    """Of one network. `cell`: pixels a side that the finest level keeps as one. `channels` of each level,
    finest first, each half as fine as the one before; `encoder` and `decoder`: blocks of each level on the
    way down and up, the deepest having both. `block`: of BLOCKS. `last`: side of the kernel that gives the
    correction. `memory`: channels of each of both states, 0 for a network of single frames.
    """

    channels: tuple[int, ...]
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    cell: int = 4
    block: str = "plain"
    last: int = 3
    memory: int = 0

    def __post_init__(self) -> None:
        if not len(self.channels) == len(self.encoder) == len(self.decoder) > 0:
            raise ValueError("channels, encoder and decoder give a number for each level")
        if self.cell < 2 or self.cell % 2:
            raise ValueError(f"cell takes an even number from 2 up, not {self.cell}")
        if self.last < 1 or self.last % 2 == 0:
            raise ValueError(f"last takes an odd number from 1 up, not {self.last}")
        if self.block not in BLOCKS:
            raise ValueError(f"block takes {', '.join(BLOCKS)}, not {self.block!r}")


def stacks(channels: tuple[int, ...], counts: tuple[int, ...], block: str) -> nn.ModuleList:
    """A row of blocks for each level."""
    pairs = zip(channels, counts, strict=True)
    return nn.ModuleList(nn.Sequential(*(BLOCKS[block](c) for _ in range(n))) for c, n in pairs)


class Memory(nn.Module):
    """Of a frame's features (N, c, H / cell, W / cell) and picture (N, 3, H, W) two states, each
    (N, memory, H / cell, W / cell), and of them what the next frame's first features gain."""

    def __init__(self, channels: int, memory: int, cell: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, memory, 1)
        self.look = nn.Conv2d(3, memory, 2 * cell, stride=cell, padding=cell // 2)
        self.recall = nn.Conv2d(2 * memory, channels, 3, padding=1)
        # So that a network that begins with a still one's weights begins as that one.
        for start in (self.recall.weight, self.recall.bias):
            assert start is not None
            nn.init.zeros_(start)

    def recalled(self, states: States) -> Tensor:
        return torch.as_tensor(self.recall(torch.cat(states, dim=1)))

    def kept(self, features: Tensor, image: Tensor) -> States:
        return torch.relu(self.narrow(features)), torch.relu(self.look(image))


class Realtime(nn.Module):
    """(N, 3, H, W) rainy in 0..1 -> `Restored` with MAPS (N, 2, H / cell, W / cell) as attention.

    H and W are multiples of what the deepest level keeps as one. `stages`: the maps' logits, as their loss is
    only exact on them.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        cell, channels = size.cell, size.channels
        self.cell = cell
        self.head = nn.Conv2d(3, channels[0], 2 * cell, stride=cell, padding=cell // 2)
        self.encoder = stacks(channels, size.encoder, size.block)
        self.decoder = stacks(channels, size.decoder, size.block)
        levels = list(itertools.pairwise(channels))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in levels)
        self.ups = nn.ModuleList(Up(b, a) for a, b in levels)
        self.correction = nn.Conv2d(channels[0], 3 * cell**2, size.last, padding=size.last // 2)
        self.maps = nn.Conv2d(channels[0], len(MAPS), 1)
        self.memory = Memory(channels[0], size.memory, cell) if size.memory else None
        self.state_shapes = ((size.memory, cell),) * (2 if size.memory else 0)

    def features(self, x: Tensor) -> Tensor:
        """(N, c, H / cell, W / cell) -> the same shape, through the U."""
        kept = []
        for down, blocks in zip([None, *self.downs], self.encoder, strict=True):
            x = blocks(x if down is None else torch.relu(down(x)))
            kept.append(x)
        x = self.decoder[-1](kept.pop())
        for up, blocks in zip(reversed(self.ups), reversed(self.decoder[:-1]), strict=True):
            x = blocks(kept.pop() + up(x))
        return x

    def forward(self, rainy: Tensor, states: States | None = None) -> Restored:
        seen = self.head(rainy)
        if self.memory is not None:
            seen = seen + self.memory.recalled(states or no_memory(self, rainy))
        features = self.features(torch.relu(seen))
        logits = self.maps(features)
        attention = torch.sigmoid(logits)
        gate = torch.relu(attention.amax(1, keepdim=True) - LEAST) / (1 - LEAST)
        # Gating before the shuffle keeps every multiplication at a fraction of the frame's size.
        image = rainy + F.pixel_shuffle(self.correction(features) * gate, self.cell)
        kept = () if self.memory is None else self.memory.kept(features, image)
        return Restored(image, attention, (logits,), kept)


SIZES: Mapping[str, Size] = {
    "realtime-s": Size((32, 48, 72), (0, 1, 0), (1, 1, 2), last=1),
    "realtime-s-video": Size((32, 48, 72), (0, 1, 0), (1, 1, 2), last=1, memory=16),
    "realtime-m": Size((64, 80, 96, 128), (1, 1, 1, 0), (2, 2, 2, 2)),
    "realtime-l": Size((96, 120, 144, 160), (1, 1, 1, 0), (3, 2, 2, 1)),
}
"""For two CPU cores at 1280x720, the second for video; at 640x480, or any GPU; for GPUs at 1920x1080."""


def realtime(name: str, width: float = 1.0, **size: Any) -> Realtime:
    """A network of SIZES, but for what `size` gives, lists as tuples; every channel count times `width`, in
    multiples of 4."""
    told = {key: tuple(value) if isinstance(value, list) else value for key, value in size.items()}
    asked = Size(**{**vars(SIZES[name]), **told})
    if MULTIPLE_OF % (deepest := asked.cell * 2 ** (len(asked.channels) - 1)):
        raise ValueError(
            f"the deepest level keeps {deepest} pixels a side as one; it must divide {MULTIPLE_OF}"
        )
    channels = tuple(scaled(c, width) for c in asked.channels)
    memory = scaled(asked.memory, width) if asked.memory else 0
    return Realtime(replace(asked, channels=channels, memory=memory))


def scaled(channels: int, width: float) -> int:
    return max(4, round(channels * width / 4) * 4)


NETWORKS: tuple[Entry, ...] = tuple(
    Entry(name, "ours", partial(realtime, name), MULTIPLE_OF, Tiling.EXACT, maps=MAPS) for name in SIZES
)
