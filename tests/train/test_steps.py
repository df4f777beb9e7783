"""One step: every network learns by its recipe, gathered batches count as one, and nothing changes where a
loss is no number."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import here, kept, photographs, same, small, tensors, tiny
from torch import Tensor, nn

from derain.engines.errors import DerainError
from derain.train import steps
from derain.train.checkpoint import State, averaged, read
from derain.train.clips import patches_of
from derain.train.networks.recurrent import state_shapes
from derain.train.objectives import objective_of
from derain.train.optimisers import optimiser_of
from derain.train.patches import ALONE, Batch
from derain.train.recipe import LossRecipe, Recipe, load_recipe, shipped
from derain.train.steps import NotFiniteError, Plan, follow, step
from derain.train.trainer import fresh_state, train, training_photos

SMALL = [name for name in shipped() if name.endswith("-small")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("steps") / "data")


def plan_of(recipe: Recipe) -> Plan:
    return Plan(recipe, objective_of(recipe), "cpu", ALONE)


def batches_of(recipe: Recipe, data: Path) -> Iterator[Batch]:
    apart = objective_of(recipe).apart
    return iter(patches_of(recipe, training_photos(recipe, data), apart=apart))


def stepped(recipe: Recipe, data: Path, count: int = 1) -> State:
    """A state after so many steps."""
    state, plan, batches = fresh_state(recipe, here(data, data)), plan_of(recipe), batches_of(recipe, data)
    for _ in range(count):
        step(state, plan, [next(batches) for _ in range(recipe.train.accumulate)])
    return state


def without(state: State, network: str) -> list[str]:
    """Names of weights no gradient has reached."""
    named = getattr(state, network).named_parameters()
    return [name for name, weight in named if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("name", SMALL)
def test_a_step_of_every_small_recipe_reaches_all_weights(name: str, data: Path) -> None:
    shipped_one = load_recipe(name, ["train.steps=1", "train.batch=2"])
    told = shipped_one.data
    recipe = replace(shipped_one, data=replace(tiny().data, pairs_rain=told.pairs_rain, frames=told.frames))
    state = fresh_state(recipe, here(data, data))
    before = {key: weight.detach().clone() for key, weight in state.network.named_parameters()}
    plan, batches = plan_of(recipe), batches_of(recipe, data)
    # What is recalled of the frame before counts nothing at first; a second step reaches what is kept of it.
    for _ in range(2 if state_shapes(state.network) else 1):
        (figures,) = step(state, plan, [next(batches)])
        assert all(math.isfinite(number) for number in figures.numbers)
    assert not without(state, "network")
    assert state.judge is None or not without(state, "judge")
    assert not any(torch.equal(before[key], weight) for key, weight in state.network.named_parameters())


def linear(recipe: Recipe) -> Recipe:
    """With a loss that is a mean over pictures, without SPANet's map, which is of pixels and not of cells;
    and steps that are their gradients' multiples."""
    plain = replace(recipe.train, optimiser="sgd", rate=0.1, schedule="constant", warmup=0, weight_decay=0)
    return replace(recipe, loss=LossRecipe("spanet", {"attention": 0}), train=plain)


def test_two_gathered_batches_count_as_one_twice_as_large(data: Path) -> None:
    recipe = linear(tiny())
    halves = replace(recipe, train=replace(recipe.train, accumulate=2))
    whole = replace(recipe, train=replace(recipe.train, batch=4))
    expected, got = (stepped(one, data, 3).network.state_dict() for one in (whole, halves))
    start = fresh_state(whole, here(data, data)).network.state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6)
    assert max(float((value - start[name]).abs().max()) for name, value in expected.items()) > 1e-3


def test_how_tensors_lie_in_memory_changes_nothing(data: Path) -> None:
    recipe = linear(tiny())
    other = replace(recipe, train=replace(recipe.train, channels_last=False))
    expected, got = (stepped(one, data, 3).network.state_dict() for one in (recipe, other))
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6)


def test_a_clip_of_0_is_none(data: Path) -> None:
    recipe = linear(tiny())
    free, wide, tight = (
        stepped(replace(recipe, train=replace(recipe.train, clip=clip)), data).network.state_dict()
        for clip in (0.0, 1e6, 1e-3)
    )
    assert same(free, wide) and not same(free, tight)


class Normalised(nn.Module):
    """A weight and a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)


def moved(ema: float, step: int) -> State:
    """A state whose network went from 0 to 1, and whose average follows at that step."""
    network = Normalised()
    nn.init.zeros_(network.norm.weight)
    recipe = replace(tiny().train, optimiser="sgd")
    state = State(network, averaged(network), optimiser_of(network, recipe), step=step)
    nn.init.ones_(network.norm.weight)
    network.norm.running_mean = torch.full((3,), 5.0)
    follow(state, ema)
    return state


@pytest.mark.parametrize(
    "ema,step,share",
    [(0.0, 0, 1.0), (0.9, 1000, 0.1), (0.999, 0, 9 / 11), (0.999, 89, 9 / 100), (0.5, 89, 0.5)],
)
def test_the_average_follows_closely_while_it_is_young(ema: float, step: int, share: float) -> None:
    """By 1 - min(ema, (2 + step) / (11 + step)) of the way."""
    average: Any = moved(ema, step).average
    assert average.norm.weight.tolist() == pytest.approx([share] * 3)
    assert average.norm.running_mean.tolist() == [5.0] * 3, "statistics are taken over as they are"


def test_without_an_average_it_is_the_network_itself(data: Path, tmp_path: Path) -> None:
    recipe = small("pix2pix", steps=2, ema=0.0)
    found = read(train(recipe, here(data, tmp_path / "run")))
    assert same(found["network"], found["average"])


@pytest.mark.parametrize("where", ["network", "judge"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_no_number_changes_no_weight(
    where: str, what: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient can be none where the loss still is one, as of a root at 0."""
    recipe = small("pix2pix")
    state, plan, batches = fresh_state(recipe, here(data, data)), plan_of(recipe), batches_of(recipe, data)
    step(state, plan, [next(batches)])
    before = {name: value.clone() for name, value in tensors(weights_of(state)).items()}
    calls = iter((where == "network", where == "judge"))

    def broken(terms: dict[str, Tensor]) -> Tensor:
        found = torch.stack(list(terms.values())).sum()
        if next(calls):
            terms["adversarial"] = terms["adversarial"] * (math.nan if what == "loss" else 1)
            found = found + (found.detach() - found).sqrt() * (1 if what == "gradient" else math.nan)
        return found

    monkeypatch.setattr(steps, "total", broken)
    with pytest.raises(NotFiniteError, match=what):
        step(state, plan, [next(batches)])
    assert same(before, tensors(weights_of(state))) and state.step == 1


def weights_of(state: State) -> dict[str, Any]:
    """Weights, and the optimisers' moments."""
    named: dict[str, Any] = {
        name: dict(getattr(state, name).named_parameters()) for name in ("network", "judge")
    }
    return named | {name: getattr(state, name).state_dict() for name in ("optimiser", "judge_optimiser")}


def test_a_rate_far_too_high_ends_with_the_step_the_samples_and_the_checkpoint_before(
    data: Path, tmp_path: Path
) -> None:
    recipe = replace(tiny(), train=replace(linear(tiny()).train, steps=200, rate=1e6, clip=0.0, accumulate=2))
    with pytest.raises(DerainError) as error:
        train(recipe, here(data, tmp_path / "run", checkpoint_every=1))
    good = read(tmp_path / "run" / "checkpoint.pt")
    first = 4 * good["step"]
    assert str(error.value).endswith(
        f"is not a finite number at step {good['step'] + 1}, samples {first} to {first + 3} of seed 1; "
        f"the last good checkpoint is {tmp_path / 'run' / 'checkpoint.pt'}; try a lower train.rate"
    )
    assert error.value.exit_code == 1
    assert all(value.isfinite().all() for value in kept(tmp_path / "run").values())


def test_without_a_checkpoint_none_is_told(data: Path, tmp_path: Path) -> None:
    recipe = replace(tiny(), train=replace(linear(tiny()).train, steps=200, rate=1e6, clip=0.0))
    with pytest.raises(DerainError, match="there is no checkpoint; try a lower"):
        train(recipe, here(data, tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
