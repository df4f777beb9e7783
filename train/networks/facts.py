"""What a network is and costs, found out from the network itself: for `derain networks` and for cards."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from derain.engines.card import Tiling
from derain.train.networks.network import Entry, Restored
from derain.train.networks.published import PUBLISHED, Published
from derain.train.networks.registry import build_network, entry
from derain.train.reach import receptive_radius
from derain.train.recipe import NetworkRecipe

FRAME = (384, 640)
"""Height and width that operations are counted on: 640x360, continued to what every network takes."""
NARROW = 0.05
"""The width that a reach is measured at: quick, and the same at every width."""


@dataclass(frozen=True)
class Facts:
    """A network at full width.

    `kmac`: thousands of multiplications of its convolutions a pixel of a frame of FRAME. `radius`: of the
    receptive field in pixels, None where it is the whole frame. `multiple_of`: heights and widths it takes.
    `discriminator`: whether one judges it while it trains. `attention`: whether it gives an attention map.
    `published`: what the papers say of it.
    """

    name: str
    paper: str
    parameters: int
    kmac: float
    radius: int | None
    tiling: Tiling
    multiple_of: int
    discriminator: bool
    attention: bool
    published: tuple[Published, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON takes them."""
        return {**asdict(self), "kmac": round(self.kmac, 2), "tiling": str(self.tiling)}


class Cost(NamedTuple):
    """Of a network of any width: as in Facts; `attention`: whether it gives an attention map."""

    parameters: int
    kmac: float
    attention: bool


def cost(build: Callable[[], nn.Module]) -> Cost:
    """Builds and runs the network without memory for its values, so that full width costs nothing."""
    with torch.device("meta"):
        network = build().eval()
        rainy = torch.empty(1, 3, *FRAME)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        restored: Restored = network(rainy)
    parameters = sum(weights.numel() for weights in network.parameters())
    kmac = counter.get_total_flops() / 2 / (FRAME[0] * FRAME[1]) / 1000
    return Cost(parameters, kmac, restored.attention is not None)


@cache
def facts(row: Entry) -> Facts:
    """The network at full width."""
    full = cost(row.build)
    return Facts(
        name=row.name,
        paper=row.paper,
        parameters=full.parameters,
        kmac=full.kmac,
        radius=None if row.tiling is Tiling.WHOLE_FRAME else radius(row.build, row.multiple_of),
        tiling=row.tiling,
        multiple_of=row.multiple_of,
        discriminator=row.discriminator is not None,
        attention=full.attention,
        published=PUBLISHED.get(row.name, ()),
    )


@cache
def radius(build: Callable[..., nn.Module], multiple_of: int) -> int:
    """The receptive radius of what `build` builds; some networks differ in their training alone."""
    return receptive_radius(build(width=NARROW), multiple_of)


def halo(recipe: NetworkRecipe) -> int:
    """The halo on the card of the recipe's network: its receptive radius, 0 for one that takes no tiles."""
    row = entry(recipe.name)
    if row.tiling is Tiling.WHOLE_FRAME:
        return 0
    return receptive_radius(build_network(replace(recipe, width=NARROW)), row.multiple_of)
