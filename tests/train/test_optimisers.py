"""Optimisers and learning rates by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import here, photographs, tiny
from torch import nn

from derain.train.objectives import objective_of
from derain.train.optimisers import optimiser_of, share_of_rate
from derain.train.patches import ALONE, RainyPatches
from derain.train.recipe import DiscriminatorRecipe, OptimiserRecipe, Recipe, load_recipe
from derain.train.steps import Plan, step
from derain.train.trainer import fresh_state, training_photos

PLAIN = OptimiserRecipe(steps=100, batch=1, patch=32, rate=0.5, weight_decay=0.0, warmup=0)


def shares(recipe: OptimiserRecipe, *steps: int) -> list[float]:
    return [share_of_rate(recipe, step) for step in steps]


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    recipe = replace(PLAIN, warmup=10)
    assert shares(recipe, 0, 4, 9) == pytest.approx([0.1, 0.5, 1.0])
    assert shares(recipe, 10, 40, 55, 100) == pytest.approx([1.0, 0.75, 0.5, 0.0])
    assert shares(recipe, 101) == [0.0], "and stays there"


def test_the_other_schedules() -> None:
    assert shares(replace(PLAIN, schedule="constant"), 0, 50, 100) == [1.0, 1.0, 1.0]
    falling = replace(PLAIN, schedule="milestones", milestones=(5, 20))
    assert shares(falling, 0, 4, 5, 19, 20, 99) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    inverse = replace(PLAIN, schedule="inverse", decay=0.25)
    assert shares(inverse, 0, 1, 4, 12) == pytest.approx([1, 0.8, 0.5, 0.25])
    assert shares(replace(falling, warmup=10), 4, 9, 10, 20) == pytest.approx([0.5, 1.0, 0.1, 0.01])


def test_a_warm_up_longer_than_the_run_only_warms_up() -> None:
    assert shares(replace(PLAIN, steps=3, warmup=6), 0, 1, 2) == pytest.approx([1 / 6, 2 / 6, 3 / 6])


def stepped(recipe: OptimiserRecipe, *gradients: float) -> float:
    """A weight that was 2.0 after steps down those gradients."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 2.0)
    optimiser = optimiser_of(network, recipe)
    for gradient in gradients:
        network.weight.grad = torch.full_like(network.weight, gradient)
        optimiser.step()
    return float(network.weight.detach())


def adam(betas: tuple[float, float], rate: float, gradients: tuple[float, ...], weight: float) -> float:
    """Kingma and Ba 2015, algorithm 1."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        weight -= rate * m / (1 - betas[0] ** t) / (math.sqrt(v / (1 - betas[1] ** t)) + 1e-8)
    return weight


def test_each_optimiser_steps_as_its_paper_says() -> None:
    assert stepped(replace(PLAIN, optimiser="sgd"), 0.2, 0.4) == pytest.approx(2 - 0.1 - 0.2), "no momentum"
    betas = (0.5, 0.9)
    by_adam = replace(PLAIN, optimiser="adam", betas=betas)
    assert stepped(by_adam, 0.2, -0.4) == pytest.approx(adam(betas, 0.5, (0.2, -0.4), 2.0))
    assert stepped(replace(by_adam, optimiser="adamw"), 0.2, -0.4) == pytest.approx(
        stepped(by_adam, 0.2, -0.4)
    )


def test_weights_decay_as_the_optimiser_has_it() -> None:
    """Of Adam and of gradient descent it is a part of the gradient; AdamW shrinks the weight itself."""
    decaying = replace(PLAIN, weight_decay=0.1)
    assert stepped(replace(decaying, optimiser="sgd"), 0.2) == pytest.approx(2 - 0.5 * (0.2 + 0.1 * 2))
    expected = adam((0.9, 0.999), 0.5, (0.2 + 0.1 * 2,), 2.0)
    assert stepped(replace(decaying, optimiser="adam"), 0.2) == pytest.approx(expected)
    expected = adam((0.9, 0.999), 0.5, (0.2,), 2.0 * (1 - 0.5 * 0.1))
    assert stepped(replace(decaying, optimiser="adamw"), 0.2) == pytest.approx(expected)


def test_both_rates_of_a_game_follow_the_schedule(tmp_path: Path) -> None:
    """Each from its own rate; the discriminator's optimiser has its own betas."""
    shipped = load_recipe("pix2pix-small")
    data = photographs(tmp_path / "data")
    plain = replace(shipped.train, batch=2, schedule="milestones", milestones=(1,), warmup=0, rate=1e-3)
    recipe: Recipe = replace(
        shipped, data=tiny().data, network=replace(shipped.network, width=0.0625), train=plain,
        discriminator=DiscriminatorRecipe(rate=3e-4, betas=(0.4, 0.99)),
    )  # fmt: skip
    state, plan = fresh_state(recipe, here(data, data)), Plan(recipe, objective_of(recipe), "cpu", ALONE)
    batches = iter(RainyPatches(training_photos(recipe, data), recipe))
    found = []
    for _ in range(2):
        step(state, plan, [next(batches)])
        assert state.judge_optimiser is not None
        found.append([o.param_groups[0]["lr"] for o in (state.optimiser, state.judge_optimiser)])
        assert state.judge_optimiser.param_groups[0]["betas"] == (0.4, 0.99)
    assert found == [pytest.approx([1e-3, 3e-4]), pytest.approx([1e-4, 3e-5])]
