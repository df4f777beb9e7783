"""A trained network that another one learns from: its restored pictures are what the student should give."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from derain.engines.errors import UsageError
from derain.train.export import load_checkpoint
from derain.train.networks.registry import entry
from derain.train.recipe import Recipe
from derain.train.record.provenance import sha256_of


@dataclass(frozen=True)
class Teacher:
    """`network`: in eval mode, without gradients. `told`: its name and steps, and its checkpoint's sha256."""

    network: nn.Module
    told: str


def teacher_of(recipe: Recipe, checkpoint: Path | None) -> Teacher | None:
    """What the recipe's network learns from; None where its loss asks for nothing.

    Raises UsageError where the one is given and the other is not, and for what is no checkpoint or takes no
    patches of the recipe's size.
    """
    if checkpoint is None and recipe.loss.distil:
        raise UsageError(
            f"[loss] distil {recipe.loss.distil:g} is of what a teacher restores; give --teacher CHECKPOINT"
        )
    if checkpoint is None:
        return None
    if not recipe.loss.distil:
        raise UsageError(
            "--teacher is for a recipe that learns from one; give --set loss.distil=1, or leave it out"
        )
    trained = load_checkpoint(checkpoint)
    name = trained.recipe.network.name
    for patch in (recipe.train.patch, *(stage.patch for stage in recipe.train.stages)):
        if patch % (multiple_of := entry(name).multiple_of):
            raise UsageError(
                f"the teacher {checkpoint}, {name}, takes multiples of {multiple_of}, not patches of {patch}"
            )
    told = f"{trained.recipe.name} at {trained.step} steps, sha256 {sha256_of(checkpoint)}"
    return Teacher(trained.network.requires_grad_(False), told)
