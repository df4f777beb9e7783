"""PSNR of the averaged network on patches that stay the same through a run."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from derain.train.checkpoint import State
from derain.train.datasets import pictures, read_pairs, split
from derain.train.patches import Batch, RainyPatches
from derain.train.recipe import Recipe

SEED = 1 << 40
"""Added to the recipe's seed: no patch that is trained on is drawn again."""


def fixed(recipe: Recipe, data: Path) -> Batch | None:
    """The patches of a recipe's validation: of its pairs where it names some, else of held-out photos under
    the recipe's rain, else none."""
    chosen = recipe.validation
    still = replace(
        recipe, seed=recipe.seed + SEED, train=replace(recipe.train, batch=chosen.patches),
        data=replace(recipe.data, pairs_share=1.0, more_drops=0.0),
    )  # fmt: skip
    if chosen.pairs:
        pairs = [pair for folder in chosen.pairs for pair in read_pairs(data / folder)]
        return next(islice(RainyPatches((), still, 0, pairs), 1))
    kept = [split(pictures(data / folder), recipe.data.hold_out)[1] for folder in recipe.data.photos]
    photos = [path for paths in kept for path in paths]
    return next(islice(RainyPatches(photos, still), 1)) if photos else None


@torch.no_grad()
def psnr(state: State, batch: Batch, device: str) -> float:
    """The mean over the patches of PSNR in dB, of what is shown: clipped to 0..1, all colours."""
    found = []
    for rainy, clean in zip(batch.rainy, batch.clean, strict=True):
        restored = state.average(rainy[None].to(device)).image[0].float().clamp(0, 1).cpu()
        found.append(-10 * torch.log10((restored - clean).square().mean().clamp_min(1e-10)))
    return float(torch.stack(found).mean())
