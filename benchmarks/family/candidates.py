"""The shapes that were tried for `realtime-s`, and the network that each is timed beside."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.train.networks.blocks import fold
from derain.train.networks.network import Restored
from derain.train.networks.realtime import SIZES, Size
from derain.train.networks.registry import build_network
from derain.train.recipe import NetworkRecipe, Recipe, load_recipe

NETWORK = "realtime-s"
REFERENCE = "reference"
BATCH, PATCH = 8, 128
"""Of every step: what two cores have time for."""


@dataclass(frozen=True)
class Candidate:
    """A network of the family; `size`: what a recipe's [network] size says of it."""

    name: str
    size: Mapping[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> NetworkRecipe:
        return NetworkRecipe(NETWORK, dict(self.size))

    @property
    def words(self) -> str:
        """Its size as one line."""
        size = Size(**{**vars(SIZES[NETWORK]), **self.size})
        levels = zip(size.channels, size.encoder, size.decoder, strict=True)
        shape = "U" if len(size.channels) > 1 else "flat"
        told = ", ".join(f"{channels} ({down}+{up})" for channels, down, up in levels)
        last = "" if size.last == 3 else f", {size.last}x{size.last} last"
        return f"cell {size.cell}, {shape} {told}, {size.block}{last}"

    def build(self) -> nn.Module:
        """As it is shipped, untrained: branches are folded."""
        return fold(build_network(self.network))


def shape(
    channels: tuple[int, ...], encoder: tuple[int, ...], decoder: tuple[int, ...], **others: Any
) -> dict[str, Any]:
    return {"channels": channels, "encoder": encoder, "decoder": decoder, **others}


CANDIDATES = (
    Candidate("u3"),
    Candidate("u3-thin", shape((24, 48, 96), (0, 1, 0), (1, 1, 2), last=1)),
    Candidate("u3-last3", shape((24, 48, 72), (0, 1, 0), (1, 1, 2), last=3)),
    Candidate("u4", shape((24, 48, 72, 112), (0, 1, 1, 0), (1, 1, 1, 2), last=1)),
    Candidate("cell8", shape((48, 112), (0, 1), (1, 2), cell=8, last=1)),
    Candidate("gated", shape((32, 48, 64, 96), (0, 2, 2, 0), (1, 2, 2, 3), block="gated", last=3)),
    Candidate(
        "large-kernel",
        shape((32, 48, 64, 96), (1, 1, 1, 0), (1, 2, 2, 2), block="large-kernel", last=3),
    ),
    Candidate("branched", {"block": "branched"}),
    Candidate("flat", shape((24,), (0,), (4,), last=1)),
)
"""The first is `realtime-s` itself. Levels, channels and blocks make times alike: in fp32 0.9 of the
reference's at most, in INT8 its own."""


class Reference(nn.Module):
    """What milliseconds are told by: 4x pixel unshuffle, eight 3x3 convolutions of 32 channels with ReLUs
    between, pixel shuffle, added to the frame. (N, 3, H, W), H and W multiples of 4, as `Restored`."""

    def __init__(self) -> None:
        super().__init__()
        widths = (48, *[32] * 7, 48)
        pairs = itertools.pairwise(widths)
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairs)

    def forward(self, rainy: Tensor) -> Restored:
        *inner, last = self.layers
        x = F.pixel_unshuffle(rainy, 4)
        for layer in inner:
            x = torch.relu(layer(x))
        return Restored(rainy + F.pixel_shuffle(last(x), 4))


def recipe_of(candidate: Candidate, seed: int) -> Recipe:
    """The recipe that trains it: `realtime-s` with patches of one size, which a short budget can't change."""
    recipe = load_recipe(NETWORK)
    train = replace(recipe.train, stages=(), batch=BATCH, patch=PATCH)
    return replace(recipe, seed=seed, network=candidate.network, train=train)
