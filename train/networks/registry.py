"""The networks `train` knows, named explicitly."""

from typing import Any

from torch import nn

from derain.engines.errors import UsageError
from derain.train.networks import (
    attentive_gan,
    daiam,
    eigen,
    glance,
    pix2pix,
    realtime,
    spanet,
    water_gan,
)
from derain.train.networks.network import Entry
from derain.train.recipe import NetworkRecipe

NETWORKS: tuple[Entry, ...] = (
    *eigen.NETWORKS,
    *attentive_gan.NETWORKS,
    *spanet.NETWORKS,
    *water_gan.NETWORKS,
    *pix2pix.NETWORKS,
    *daiam.NETWORKS,
    *realtime.NETWORKS,
    *glance.NETWORKS,
)
"""In the order of their papers; our own last."""


def entry(name: str) -> Entry:
    """The entry of a network; UsageError lists the known ones."""
    for row in NETWORKS:
        if row.name == name:
            return row
    raise UsageError(f"[network] name takes {', '.join(row.name for row in NETWORKS)}, not {name!r}")


def build_network(recipe: NetworkRecipe) -> nn.Module:
    """An untrained network of the recipe's size; it maps (N, 3, H, W) to `Restored`."""
    return built(entry(recipe.name).build, recipe)


def build_discriminator(recipe: NetworkRecipe) -> nn.Module | None:
    """What judges that network while it trains, None where nothing does."""
    build = entry(recipe.name).discriminator
    return None if build is None else build(width=recipe.width)


def built(build: Any, recipe: NetworkRecipe) -> nn.Module:
    try:
        network: nn.Module = build(width=recipe.width, **recipe.size)
    except (TypeError, ValueError, RuntimeError) as error:
        # RuntimeError is torch's, of values that it can't draw first weights by.
        raise UsageError(f"[network] size does not fit {recipe.name}: {error}") from error
    return network
