"""Blocks of the real-time family, all residual: the candidates that were measured beside each other.

Each maps (N, c, h, w) to the same shape. The plain one is what the shipped networks are built of.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXPAND = 2
"""How many times as wide the gated and the large-kernel block are inside."""


class Plain(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Gated(nn.Module):
    """1x1, depthwise 3x3, the product of both halves, 1x1; after NAFNet (Chen 2022), without its global
    attention, which tiles can't have, and its layer norm, which INT8 can't."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = channels * EXPAND
        self.widen = nn.Conv2d(channels, inside, 1)
        self.look = nn.Conv2d(inside, inside, 3, padding=1, groups=inside)
        self.narrow = nn.Conv2d(inside // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.look(self.widen(x)).chunk(2, dim=1)
        return x + torch.as_tensor(self.narrow(one * other))


class LargeKernel(nn.Module):
    """Depthwise 7x7, then two 1x1 with a ReLU between; after ConvNeXt (Liu 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.widen = nn.Conv2d(channels, channels * EXPAND, 1)
        self.narrow = nn.Conv2d(channels * EXPAND, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.as_tensor(self.narrow(torch.relu(self.widen(self.look(x)))))


class Branched(nn.Module):
    """`Plain` while it trains with a 1x1 branch beside each 3x3 convolution; after RepVGG (Ding 2021).

    `folded` gives the plain block that computes the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.first_beside = nn.Conv2d(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.second_beside = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        inside = torch.relu(self.first(x) + self.first_beside(x))
        return torch.relu(x + self.second(inside) + self.second_beside(inside))

    def folded(self) -> Plain:
        """The block with each branch in the middle of its 3x3 kernel."""
        plain = Plain(self.first.in_channels)
        plain.first = joined(self.first, self.first_beside)
        plain.second = joined(self.second, self.second_beside)
        return plain.train(self.training)


def joined(wide: nn.Conv2d, point: nn.Conv2d) -> nn.Conv2d:
    """One 3x3 convolution that equals the sum of a 3x3 and a 1x1 one."""
    one = nn.Conv2d(wide.in_channels, wide.out_channels, 3, padding=1)
    assert wide.bias is not None and point.bias is not None and one.bias is not None
    with torch.no_grad():
        one.weight.copy_(wide.weight)
        one.weight[:, :, 1:2, 1:2] += point.weight
        one.bias.copy_(wide.bias + point.bias)
    return one


class Up(nn.Module):
    """1x1 convolution and 2x pixel shuffle."""

    def __init__(self, deep: int, shallow: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(deep, shallow * 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.mix(x), 2)


BLOCKS: Mapping[str, Callable[[int], nn.Module]] = {
    "plain": Plain,
    "gated": Gated,
    "large-kernel": LargeKernel,
    "branched": Branched,
}
"""By the name that a recipe's [network] size gives as `block`."""


def fold(network: nn.Module) -> nn.Module:
    """Puts the folded form of every branched block in its place; the network, which computes the same."""
    for name, child in network.named_children():
        if isinstance(child, Branched):
            setattr(network, name, child.folded())
        else:
            fold(child)
    return network
