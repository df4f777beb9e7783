"""One step of training: of a network alone, or of a network and its discriminator."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from derain.train.checkpoint import State
from derain.train.losses.eigen import middle
from derain.train.losses.restoration import masked_l1
from derain.train.losses.temporal import flicker
from derain.train.networks.network import Restored
from derain.train.networks.recurrent import along, joined, state_shapes
from derain.train.objectives import Game, Judge, Objective, Terms
from derain.train.optimisers import set_rates, share_of_rate
from derain.train.parallel import any_of, average_gradients
from derain.train.patches import Batch, Share
from derain.train.recipe import Recipe
from derain.train.stages import stage_at

TAUGHT_RAIN = 4.0
"""How many times more rain counts in what a teacher restored."""


class NotFiniteError(Exception):
    """What is no finite number: the loss, or its gradient."""


@dataclass
class Figures:
    """What one step showed, means over its batches.

    Terms of the network's and of the discriminator's loss as they count, mean squared errors against the
    clean pictures of the `restored` (not clipped) and of the `rainy` ones, the discriminator's `accuracy` in
    0..1, and how much pictures of a batch differ from each other, restored beside clean (`spread`, 1: as
    much); both None without a discriminator.
    """

    network: dict[str, float]
    judge: dict[str, float]
    restored: float
    rainy: float
    accuracy: float | None = None
    spread: float | None = None

    @property
    def loss(self) -> float:
        """What the network minimises."""
        return sum(self.network.values())

    @property
    def numbers(self) -> list[float]:
        """All that must be finite."""
        return [*self.network.values(), *self.judge.values(), self.restored]


@dataclass(frozen=True)
class Plan:
    """What stays the same from step to step. `teacher`: what the network learns from too, without gradients;
    None where nothing asks for it."""

    recipe: Recipe
    objective: Objective
    device: str
    share: Share
    teacher: nn.Module | None = None

    def at(self, step: int) -> "Plan":
        """With the loss as the stage of that step weighs it."""
        weights = stage_at(self.recipe.train, step).weights
        return replace(self, objective=replace(self.objective, **weights)) if weights else self

    def rng(self, step: int) -> np.random.Generator:
        """What is random in a step, and nothing else of any other step."""
        return np.random.default_rng([self.recipe.seed, step, self.share.rank])

    def autocast(self) -> torch.autocast:
        """Mixed precision where the recipe asks for it."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.recipe.train.precision == "bf16")

    @property
    def frames(self) -> int:
        """Of a sample."""
        return self.recipe.data.frames

    def moved(self, batch: Batch) -> Batch:
        """The batch on the device as pictures (N, c, P, P), the frames of a clip one after another; they lie
        in memory as the network's weights do."""
        form = torch.channels_last if self.recipe.train.channels_last else torch.contiguous_format
        return batch.mapped(lambda t: t.flatten(0, -4).to(self.device, memory_format=form, non_blocking=True))

    def clips(self, pictures: Tensor) -> Tensor:
        """The pictures of a batch as clips (N, T, c, P, P)."""
        return pictures.view(-1, self.frames, *pictures.shape[1:])


def floated(found: Any) -> Any:
    """Tensors in float32, in whatever (named) tuples they are: losses are not taken in half precision."""
    if isinstance(found, Tensor):
        return found.float()
    if isinstance(found, tuple):
        items = [floated(item) for item in found]
        return type(found)(*items) if hasattr(found, "_fields") else tuple(items)
    return found


def step(state: State, plan: Plan, batches: Sequence[Batch]) -> list[Figures]:
    """One step of the optimisers over the gradients of `batches`, and of the averaged weights.

    Raises NotFiniteError, in all processes, before a loss or a gradient that is not finite in one of them
    changes any weight.
    """
    plan, rng = plan.at(state.step), plan.rng(state.step)
    torch.manual_seed(int(rng.integers(1 << 62)))
    share = share_of_rate(plan.recipe.train, state.step)
    set_rates(state.optimiser, plan.recipe.train.rate * share)
    if state.judge_optimiser is not None:
        set_rates(state.judge_optimiser, plan.recipe.discriminator.rate * share)
    zero(state)
    figures = [gather(state, plan, plan.moved(batch), rng, 1 / len(batches)) for batch in batches]
    broken = not all(np.isfinite(one.numbers).all() for one in figures)
    if any_of(broken, plan.share, plan.device):
        raise NotFiniteError("the loss")
    descend(state, plan)
    state.step += 1
    return figures


def zero(state: State) -> None:
    for optimiser in (state.optimiser, state.judge_optimiser):
        if optimiser is not None:
            optimiser.zero_grad(set_to_none=True)


def gather(state: State, plan: Plan, batch: Batch, rng: np.random.Generator, part: float) -> Figures:
    """Adds the gradients of one batch, times `part`, to those of the network and of the discriminator."""
    with plan.autocast():
        restored = floated(restored_by(state.network, plan, batch.rainy))
    judge = None if state.judge is None else seen_by(state.judge, plan)
    if judge is None:
        terms = plan.objective.terms(restored, batch, None)
    else:
        assert state.judge is not None
        # The discriminator passes gradients to the picture, and has none itself here.
        state.judge.requires_grad_(False)
        terms = plan.objective.terms(restored, batch, judge)
        state.judge.requires_grad_(True)
    if weight := plan.recipe.loss.temporal:
        clean = middle(batch.clean, *restored.image.shape[2:])
        terms["temporal"] = weight * flicker(plan.clips(restored.image), plan.clips(clean))
    if plan.teacher is not None:
        terms["distil"] = plan.recipe.loss.distil * distilled(plan.teacher, plan, restored.image, batch)
    (total(terms) * part).backward()  # type: ignore[no-untyped-call]
    figures = measured(restored, batch, terms)
    if judge is not None:
        against(plan, batch, restored, judge, rng, part, figures)
    return figures


def restored_by(network: nn.Module, plan: Plan, rainy: Tensor) -> Restored:
    """What the network gives for the pictures of a batch.

    One that remembers goes through clips frame by frame with its states, and gradients go back the same way;
    to another each frame is a picture like any other.
    """
    if plan.frames == 1 or not state_shapes(network):
        return plan.objective.restore(network, rainy)
    return joined(along(network, plan.clips(rainy)))


def distilled(teacher: nn.Module, plan: Plan, restored: Tensor, batch: Batch) -> Tensor:
    """How far the pictures are from what the teacher makes of the same rainy ones, rain counting more."""
    with torch.no_grad(), plan.autocast():
        taught = joined(along(teacher, plan.clips(batch.rainy))).image.float().clamp(0, 1)
    wanted, mask = (middle(picture, *restored.shape[2:]) for picture in (taught, batch.mask))
    return masked_l1(restored, wanted, mask, TAUGHT_RAIN)


def against(
    plan: Plan,
    batch: Batch,
    restored: Restored,
    judge: Judge,
    rng: np.random.Generator,
    part: float,
    to: Figures,
) -> None:
    """The discriminator's gradients and figures, of what the network restored before this step."""
    assert isinstance(plan.objective, Game)
    verdict = plan.objective.verdict(detached(restored), batch, judge, rng)
    (total(verdict.terms) * part).backward()  # type: ignore[no-untyped-call]
    to.judge = plain(verdict.terms)
    to.accuracy = float(verdict.accuracy)
    to.spread = spread(restored.image.detach()) / max(spread(batch.clean), 1e-6)


def spread(pictures: Tensor) -> float:
    """How much the pictures (N, 3, H, W) of a batch differ from each other; 1 where there is only one."""
    return float(pictures.std(0, correction=0).mean()) if len(pictures) > 1 else 1.0


def detached(restored: Restored) -> Restored:
    attention = None if restored.attention is None else restored.attention.detach()
    return Restored(restored.image.detach(), attention, tuple(stage.detach() for stage in restored.stages))


def seen_by(judge: nn.Module, plan: Plan) -> Callable[..., Any]:
    """The discriminator in the recipe's precision, its answers in float32."""

    def answer(*pictures: Tensor) -> Any:
        with plan.autocast():
            return floated(judge(*pictures))

    return answer


def total(terms: Terms) -> Tensor:
    return torch.stack([term.float() for term in terms.values()]).sum()


def plain(terms: Terms) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in terms.items()}


@torch.no_grad()
def measured(restored: Restored, batch: Batch, terms: Terms) -> Figures:
    """The figures of a network alone."""
    size = restored.image.shape[2:]
    clean, rainy = (middle(picture, *size) for picture in (batch.clean, batch.rainy))
    errors = [float((picture - clean).square().mean()) for picture in (restored.image, rainy)]
    return Figures(plain(terms), {}, errors[0], errors[1])


def descend(state: State, plan: Plan) -> None:
    """Steps of both optimisers, each over the gradients of all processes; none where one is not finite."""
    for network in (state.network, state.judge):
        if network is not None and not math.isfinite(prepare(network, plan)):
            raise NotFiniteError("the gradient of the loss")
    for optimiser in (state.optimiser, state.judge_optimiser):
        if optimiser is not None:
            optimiser.step()
    follow(state, plan.recipe.train.ema)


def prepare(network: nn.Module, plan: Plan) -> float:
    """Takes the mean gradient of all processes and clips it; its norm before."""
    average_gradients(network, plan.share)
    most = plan.recipe.train.clip or math.inf
    return float(torch.nn.utils.clip_grad_norm_(network.parameters(), most))


@torch.no_grad()
def follow(state: State, ema: float) -> None:
    """Moves the averaged weights; a young average follows the network closely, an old one slowly."""
    decay = min(ema, (2 + state.step) / (11 + state.step))
    for mean, value in zip(state.average.parameters(), state.network.parameters(), strict=True):
        mean.lerp_(value.detach(), 1 - decay)
    for kept, now in zip(state.average.buffers(), state.network.buffers(), strict=True):
        kept.copy_(now)
