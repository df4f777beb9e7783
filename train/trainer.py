"""One trainer: AdamW, cosine, EMA, gradient clip, checkpoints that resume bit-exactly, a wall-clock limit."""

import copy
import logging
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from derain.engines.errors import UsageError
from derain.train.checkpoint import State, begin_with, restore, save
from derain.train.datasets import pictures, read_pairs, split
from derain.train.losses.restoration import psnr_of, restoration_loss
from derain.train.networks.registry import build_network
from derain.train.patches import Batch, RainyPatches
from derain.train.preview import save_samples
from derain.train.recipe import OptimiserRecipe, Recipe
from derain.train.sets.layouts import Pair
from derain.train.sets.loader import load

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """Where and how long. `data`: folder the recipe's photos lie in. `start_from`: a checkpoint
    whose averaged weights a new run begins with, of the same network. `time_limit`: seconds, None for none.
    `device`: "cpu" or "cuda". Checkpoints and logs come every so many steps."""

    data: Path
    output: Path
    start_from: Path | None = None
    time_limit: float | None = None
    workers: int = 1
    device: str = "cpu"
    log_every: int = 100
    checkpoint_every: int = 1000


def learning_rate(recipe: OptimiserRecipe, step: int) -> float:
    """Linear warm-up, then a cosine that ends at zero with the last step."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def fresh_state(recipe: Recipe, device: str) -> State:
    """An untrained state, its weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    random.seed(recipe.seed)
    network = build_network(recipe.network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.train.rate, weight_decay=recipe.train.weight_decay
    )
    return State(network, copy.deepcopy(network).requires_grad_(False), optimiser)


def training_photos(recipe: Recipe, data: Path) -> list[Path]:
    """The recipe's photos that are not held out."""
    return [
        p for folder in recipe.data.photos for p in split(pictures(data / folder), recipe.data.hold_out)[0]
    ]


def training_pairs(recipe: Recipe, data: Path) -> list[Pair]:
    """The pairs of the recipe's sets."""
    return [pair for folder in recipe.data.pairs for pair in read_pairs(data / folder)]


def batches(recipe: Recipe, options: RunOptions, first_step: int) -> Iterator[Batch]:
    """Endless batches from `first_step` on, the same whether the run was interrupted or not."""
    photos, pairs = training_photos(recipe, options.data), training_pairs(recipe, options.data)
    return load(RainyPatches(photos, recipe, first_step, pairs), options.workers)


def train_step(state: State, recipe: Recipe, batch: Batch, device: str) -> tuple[float, float]:
    """One step of AdamW and of the average; returns (loss, PSNR gain over the rainy patches in dB)."""
    rainy, clean, mask = (t.to(device, memory_format=torch.channels_last, non_blocking=True) for t in batch)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(recipe.train, state.step)
    with torch.autocast(device, torch.bfloat16, enabled=recipe.train.precision == "bf16"):
        restored, logits = state.network(rainy)
    loss = restoration_loss(restored, logits, clean, mask, recipe.loss)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.train.clip)
    state.optimiser.step()
    state.step += 1
    # A young average follows the network closely, an old one slowly.
    decay = min(recipe.train.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, value in zip(state.average.parameters(), state.network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        gain = psnr_of(restored, clean) - psnr_of(rainy, clean)
    return float(loss.detach()), float(gain)


def train(recipe: Recipe, options: RunOptions) -> Path:
    """Runs a recipe to its end or the time limit; returns the checkpoint's path. Resumes by itself where
    `options.output` holds a checkpoint of the same recipe."""
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the run folder {options.output} can't be made: {error.strerror}") from error
    checkpoint = options.output / "checkpoint.pt"
    state = fresh_state(recipe, options.device)
    if checkpoint.exists():
        restore(state, recipe, checkpoint)
        log.info("going on from step %d of %s", state.step, checkpoint)
    elif options.start_from:
        begin_with(state, options.start_from)
    with SummaryWriter(options.output / "tensorboard") as board:
        loop(state, recipe, options, board)
    save(state, recipe, checkpoint)
    return checkpoint


def loop(state: State, recipe: Recipe, options: RunOptions, board: SummaryWriter) -> None:
    """Steps until the recipe's end or the time limit, logging and saving on the way."""
    started, first = time.monotonic(), state.step
    losses: list[tuple[float, float]] = []
    source = batches(recipe, options, state.step)
    while state.step < recipe.train.steps:
        batch = next(source)
        losses.append(train_step(state, recipe, batch, options.device))
        elapsed = time.monotonic() - started
        if state.step % options.log_every == 0:
            report(state, recipe, losses, (state.step - first) / elapsed, board)
            losses.clear()
        if state.step % options.checkpoint_every == 0:
            save(state, recipe, options.output / "checkpoint.pt")
            save_samples(state.average, batch, options.output / "samples.png")
        if options.time_limit is not None and elapsed > options.time_limit:
            log.info("the time limit ends the run at step %d of %d", state.step, recipe.train.steps)
            return


def report(
    state: State, recipe: Recipe, losses: list[tuple[float, float]], rate: float, board: SummaryWriter
) -> None:
    """One line of plain text, and the same to TensorBoard."""
    loss, gain = (sum(column) / len(losses) for column in zip(*losses, strict=True))
    lr = learning_rate(recipe.train, state.step)
    log.info(
        "step %d/%d  loss %.5f  gain %+.2f dB  lr %.2e  %.2f steps/s",
        state.step, recipe.train.steps, loss, gain, lr, rate,
    )  # fmt: skip
    board.add_scalar("loss", loss, state.step)
    board.add_scalar("gain_db", gain, state.step)
    board.add_scalar("learning_rate", lr, state.step)
