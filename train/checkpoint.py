"""What a run needs to go on, written whole or not at all."""

from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from derain.engines.errors import UsageError
from derain.train.recipe import Recipe

KEYS = ("recipe", "step", "origin", "network", "average", "optimiser")


@dataclass
class State:
    """All a run needs to go on: network, averaged network, optimiser, the steps done, and the `origin` of
    the first weights in words ("" for random ones)."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.AdamW
    step: int = 0
    origin: str = ""


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; UsageError where it is none."""
    if not path.is_file():
        raise UsageError(f"no checkpoint at {path}; give the checkpoint.pt of a run folder")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise UsageError(f"{path} is not a checkpoint of derain train: {first_line(error)}") from error
    if not isinstance(content, dict) or set(content) != set(KEYS):
        raise UsageError(f"{path} is not a checkpoint of derain train: it lacks {', '.join(KEYS)}")
    return content


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def save(state: State, recipe: Recipe, path: Path) -> None:
    """Writes a checkpoint whole or not at all."""
    content = {
        "recipe": asdict(recipe),
        "step": state.step,
        "origin": state.origin,
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimiser": state.optimiser.state_dict(),
    }
    temporary = path.with_name(f".{path.name}.tmp")
    torch.save(content, temporary)
    temporary.replace(path)


def restore(state: State, recipe: Recipe, path: Path) -> None:
    """Goes on from a checkpoint of the same recipe; UsageError where it was another."""
    content = read(path)
    if content["recipe"] != asdict(recipe):
        changed = [k for k, v in asdict(recipe).items() if content["recipe"].get(k) != v]
        raise UsageError(
            f"{path} was made by another recipe (differs in {', '.join(changed)}); use a new --output"
        )
    state.network.load_state_dict(content["network"])
    state.average.load_state_dict(content["average"])
    state.optimiser.load_state_dict(content["optimiser"])
    state.step, state.origin = content["step"], content["origin"]


def begin_with(state: State, path: Path) -> None:
    """Takes the averaged weights of another run's checkpoint; UsageError where they don't fit."""
    content = read(path)
    try:
        for network in (state.network, state.average):
            network.load_state_dict(content["average"])
    except RuntimeError as error:
        raise UsageError(f"the weights of {path} are of another network: {error}") from error
    earlier = f" from {content['origin']}" if content["origin"] else ""
    state.origin = f"{content['recipe']['name']} at {content['step']} steps{earlier}"
