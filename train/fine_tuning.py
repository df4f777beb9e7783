"""A trained network goes on under INT8's rounding: what its run needs, and where its ranges come from."""

from pathlib import Path

import numpy as np
import torch

from derain.engines.errors import UsageError
from derain.train.calibration import planes
from derain.train.calibration_clips import choose_clips
from derain.train.checkpoint import State
from derain.train.networks.recurrent import state_shapes
from derain.train.networks.registry import entry
from derain.train.recipe import Recipe
from derain.train.rounding import ranges, rounding, set_ranges

FRAMES = 32
"""To take ranges of, as `derain quantise` does."""


def check_options(recipe: Recipe, start_from: Path | None, calibration: Path | None) -> None:
    """UsageError where a new run lacks what it takes to round, or is given it and doesn't round."""
    if recipe.train.quantised and (start_from is None or calibration is None):
        raise UsageError(
            "[train] quantised goes on with trained weights under INT8's rounding; give --start-from "
            "CHECKPOINT, and --calibration FOLDER|VIDEO: rainy frames that its ranges are taken of"
        )
    if calibration is not None and not recipe.train.quantised:
        raise UsageError(
            "--calibration is for training under INT8's rounding; give --set train.quantised=true, "
            "or leave it out"
        )


def round_both(state: State) -> None:
    """The network and its average round from now on, by ranges that are still to be set."""
    rounding(state.network)
    rounding(state.average)


def calibrate(state: State, recipe: Recipe, source: Path) -> None:
    """The network and its average, which are trained and alike, round from now on, by ranges of frames of
    `source`."""
    multiple_of, recurrent = entry(recipe.network.name).multiple_of, bool(state_shapes(state.average))
    chosen = choose_clips(source, FRAMES, recipe.seed, multiple_of, recurrent)
    device = next(state.average.parameters()).device
    clips = (torch.from_numpy(np.concatenate([planes(f) for f in clip])) for clip in chosen.calibration)
    found = ranges(state.average, (clip.to(device) for clip in clips))
    round_both(state)
    for network in (state.network, state.average):
        set_ranges(network, found)
    state.given["calibration"] = f"{chosen.told}, seed {recipe.seed}"
