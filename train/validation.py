"""PSNR of the averaged network on patches that stay the same through a run."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from derain.train.checkpoint import State
from derain.train.clips import patches_of
from derain.train.datasets import pictures, read_pairs, split
from derain.train.networks.recurrent import of_sample
from derain.train.patches import Batch, RainyPatches
from derain.train.recipe import Recipe
from derain.train.record.curves import decibels
from derain.train.stages import largest

SEED = 1 << 40
"""Added to the recipe's seed: no patch that is trained on is drawn again."""


def fixed(recipe: Recipe, data: Path) -> Batch | None:
    """The patches of a recipe's validation: of its pairs where it names some, else of held-out photos under
    the recipe's rain (clips where it trains on clips), else none; as large as the largest it trains on."""
    chosen = recipe.validation
    alike = replace(recipe.train, batch=chosen.patches, patch=largest(recipe.train), stages=())
    still = replace(
        recipe, seed=recipe.seed + SEED, train=alike,
        data=replace(recipe.data, pairs_share=1.0, more_drops=0.0),
    )  # fmt: skip
    if chosen.pairs:
        pairs = [pair for folder in chosen.pairs for pair in read_pairs(data / folder)]
        return next(islice(RainyPatches((), still, 0, pairs), 1))
    kept = [split(pictures(data / folder), recipe.data.hold_out)[1] for folder in recipe.data.photos]
    photos = [path for paths in kept for path in paths]
    return next(iter(patches_of(still, photos))) if photos else None


@torch.no_grad()
def psnr(state: State, batch: Batch, device: str) -> float:
    """PSNR in dB of the averaged network's mean squared error over all patches, or all frames of all clips,
    of what is shown: clipped to 0..1, all colours. Of all together, as a dry patch alone has any PSNR."""
    return decibels([
        error(of_sample(state.average, rainy.to(device)).image.cpu(), clean)
        for rainy, clean in zip(batch.rainy, batch.clean, strict=True)
    ])  # fmt: skip


def input_psnr(batch: Batch) -> float:
    """What `psnr` gives where nothing is restored."""
    return decibels([error(rainy, clean) for rainy, clean in zip(batch.rainy, batch.clean, strict=True)])


def error(picture: Tensor, clean: Tensor) -> float:
    """The mean squared error of pictures as they are shown."""
    return float((picture.float().clamp(0, 1) - clean).square().mean())
