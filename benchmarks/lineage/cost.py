"""What a network costs: its parameters, and multiply-adds for each pixel."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from derain.train.networks.registry import build_network, entry
from derain.train.recipe import NetworkRecipe

SIDE = 64
"""Pixels a side of the picture that is counted, and a multiple of what every network takes."""


def cost(recipe: NetworkRecipe) -> tuple[int, float]:
    """(parameters, multiply-adds a pixel) of a network, of its convolutions and matrix products."""
    network = build_network(recipe).eval()
    side = -(-SIDE // entry(recipe.name).multiple_of) * entry(recipe.name).multiple_of
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side))
    parameters = sum(weights.numel() for weights in network.parameters())
    return parameters, counter.get_total_flops() / 2 / side**2
