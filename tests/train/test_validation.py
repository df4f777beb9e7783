"""Validation: the same patches through a run, and nothing of training disturbed."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import here, photographs, small, tiny

from derain.train.patches import Batch, RainyPatches
from derain.train.recipe import Recipe
from derain.train.run_folder import read_curves
from derain.train.trainer import fresh_state, train, training_photos
from derain.train.validation import fixed, input_psnr, psnr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("data"))


def validated(recipe: Recipe, every: int = 2) -> Recipe:
    return replace(recipe, validation=replace(recipe.validation, every=every, patches=3))


def pair_of(rainy: float, clean: float) -> Batch:
    pictures = [torch.full((1, 3, 16, 16), value) for value in (rainy, clean)]
    return Batch(pictures[0], pictures[1], torch.zeros(1, 1, 16, 16))


def test_the_patches_are_the_same_each_time_and_none_that_is_trained_on(data: Path) -> None:
    recipe = validated(tiny())
    one, other = fixed(recipe, data), fixed(recipe, data)
    assert one is not None and other is not None and one.rainy.shape == (3, 3, 32, 32)
    assert torch.equal(one.rainy, other.rainy) and torch.equal(one.clean, other.clean)
    trained = next(iter(RainyPatches(training_photos(recipe, data), recipe)))
    assert not any(torch.equal(seen, kept) for seen in trained.clean for kept in one.clean)


def test_drawing_the_patches_and_measuring_takes_no_random_numbers(data: Path) -> None:
    recipe = validated(small("pix2pix-small"))
    state = fresh_state(recipe, here(data, data))
    before = torch.get_rng_state(), random.getstate()
    batch = fixed(recipe, data)
    assert batch is not None
    psnr(state, batch, "cpu")
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()


def test_measuring_leaves_modes_and_statistics_alone(data: Path) -> None:
    recipe = validated(small("pix2pix-small"))
    state, batch = fresh_state(recipe, here(data, data)), fixed(recipe, data)
    assert batch is not None
    kept = {name: value.clone() for name, value in state.average.state_dict().items()}
    found = psnr(state, batch, "cpu")
    assert state.network.training and not state.average.training
    assert all(torch.equal(kept[name], value) for name, value in state.average.state_dict().items())
    assert psnr(state, batch, "cpu") == found


def test_a_run_that_is_broken_off_validates_as_an_unbroken_one(data: Path, tmp_path: Path) -> None:
    """The rainy pictures' PSNR is told once in each."""
    recipe = validated(tiny())
    train(recipe, here(data, tmp_path / "whole"))
    for _ in range(2):
        train(recipe, here(data, tmp_path / "broken", resume=True, time_limit=0.0))
    train(recipe, here(data, tmp_path / "broken", resume=True))
    whole, broken = (
        [row for row in read_curves(tmp_path / name) if row[1].startswith("validation")]
        for name in ("whole", "broken")
    )
    assert whole == broken
    names = ["validation_input", *["validation_psnr"] * 3]
    assert [name for _, name, _ in whole] == names and [step for step, _, _ in whole] == [2, 2, 4, 6]


def test_psnr_of_rainy_pictures_by_hand() -> None:
    assert input_psnr(pair_of(0.6, 0.5)) == pytest.approx(20.0, abs=1e-4)


def test_what_is_out_of_range_counts_as_it_is_shown() -> None:
    assert input_psnr(pair_of(1.7, 0.9)) == pytest.approx(20.0, abs=1e-4)


def test_a_dry_patch_does_not_lift_the_figure() -> None:
    """Alone its PSNR is beyond 100 dB; of the two together half of the error is left, 3 dB."""
    dry, wet = pair_of(0.5, 0.5), pair_of(0.6, 0.5)
    both = Batch(*(torch.cat(parts) for parts in zip(dry[:3], wet[:3], strict=True)))
    assert input_psnr(both) == pytest.approx(23.01, abs=0.01)
