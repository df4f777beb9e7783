"""The networks `train` knows, named explicitly."""

from collections.abc import Callable
from typing import Any

from torch import nn

from derain.engines.errors import UsageError
from derain.train.networks.realtime import MULTIPLE_OF, Realtime, RealtimeSize
from derain.train.recipe import NetworkRecipe


def realtime(**size: Any) -> nn.Module:
    return Realtime(RealtimeSize(**{key: tuple(value) for key, value in size.items()}))


NETWORKS: tuple[tuple[str, Callable[..., nn.Module], int], ...] = (("realtime", realtime, MULTIPLE_OF),)
"""(name, builder, multiple_of)."""


def entry(name: str) -> tuple[str, Callable[..., nn.Module], int]:
    """The row of a network; UsageError lists the known ones."""
    for row in NETWORKS:
        if row[0] == name:
            return row
    raise UsageError(f"no network {name!r}; known: {', '.join(row[0] for row in NETWORKS)}")


def build_network(recipe: NetworkRecipe) -> nn.Module:
    """An untrained network of the recipe's size; it maps (N, 3, H, W) to (restored, mask logits)."""
    try:
        return entry(recipe.name)[1](**recipe.size)
    except TypeError as error:
        raise UsageError(f"[network] size does not fit {recipe.name}: {error}") from error
