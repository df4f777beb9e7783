"""Optimisers and learning rates of a recipe."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from derain.train.recipe import OptimiserRecipe, Recipe


def optimiser_of(network: nn.Module, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the network's weights."""
    weights: Iterable[nn.Parameter] = network.parameters()
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(weights, recipe.rate, weight_decay=recipe.weight_decay)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(weights, recipe.rate, betas=recipe.betas, weight_decay=recipe.weight_decay)


def judge_optimiser_of(judge: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam over the discriminator's weights."""
    return torch.optim.Adam(judge.parameters(), recipe.discriminator.rate, betas=recipe.discriminator.betas)


def share_of_rate(recipe: OptimiserRecipe, step: int) -> float:
    """What the learning rates are multiplied with at `step`: linear warm-up, then the schedule."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    match recipe.schedule:
        case "cosine":
            progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        case "milestones":
            return float(0.1 ** sum(step >= milestone for milestone in recipe.milestones))
        case "inverse":
            return 1 / (1 + recipe.decay * step)
        case _:
            return 1.0


def set_rates(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """One learning rate for all weights."""
    for group in optimiser.param_groups:
        group["lr"] = rate
