"""More drops on pairs, and test splits taken into training: the same for a seed, and said aloud."""

import logging
from pathlib import Path

import numpy as np
import paired_sets
import pytest
import torch
from paired_sets import plain, scene

from derain.engines.errors import UsageError
from derain.train.datasets import read_pairs
from derain.train.degradations.rain import Picture
from derain.train.patches import RainyPatches
from derain.train.recipe import DataRecipe, NetworkRecipe, OptimiserRecipe, Recipe, parse
from derain.train.sets.layouts import Pair
from derain.train.sets.merged import merged
from derain.train.sets.more_drops import with_drops


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Pair, ...]:
    return read_pairs(plain(tmp_path / "set"))


def twins() -> tuple[Picture, Picture]:
    """(rainy, clean), the left half of the rainy one brighter by 0.2."""
    clean = scene(3, 96, 128).astype(np.float32) / np.float32(255) * np.float32(0.7)
    rainy = clean.copy()
    rainy[:, :64] += np.float32(0.2)
    return rainy, clean


def test_drops_are_added_to_the_rainy_side_alone() -> None:
    rainy, clean = twins()
    before = rainy.copy(), clean.copy()
    made = with_drops(np.random.default_rng(0), rainy, clean, "dense")
    assert np.array_equal(rainy, before[0]) and np.array_equal(clean, before[1])
    changed = np.abs(made.image - rainy).max(axis=2) > 30 / 255
    assert 0.02 < changed[:, 64:].mean() < 0.95
    assert made.image.shape == rainy.shape and made.image.dtype == np.float32
    assert made.image.min() >= 0 and made.image.max() <= 1


def test_the_marks_tell_old_rain_and_new() -> None:
    rainy, clean = twins()
    made = with_drops(np.random.default_rng(0), rainy, clean, "dense")
    difference = np.abs(made.image - clean).max(axis=2)
    assert np.array_equal(made.mask > 0, difference > np.float32(30 / 255 + 1e-6))
    assert made.mask[:, :64].mean() > 0.5, "the old rain"
    assert made.mask[:, 64:].mean() > 0.02, "the new drops"


def test_the_generator_passed_in_decides_the_drops() -> None:
    rainy, clean = twins()
    first, again, other = (with_drops(np.random.default_rng(s), rainy, clean).image for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def of_pairs(pairs: tuple[Pair, ...], chance: float) -> RainyPatches:
    """Patches of pairs, with more drops by that chance."""
    data = DataRecipe(pairs=("set",), pairs_share=1.0, more_drops=chance)
    train = OptimiserRecipe(steps=1, batch=2, patch=40, rate=1e-3)
    recipe = Recipe("tiny", NetworkRecipe("realtime-s"), data, train, seed=5)
    return RainyPatches((), recipe, 0, pairs)


def test_a_share_of_the_patches_has_more_drops(pairs: tuple[Pair, ...]) -> None:
    made = {chance: of_pairs(pairs, chance) for chance in (0.0, 0.5, 1.0)}
    changed = dict.fromkeys(made, 0)
    for index in range(24):
        expected = made[0.0].sample(index, 40)
        for chance, patches in made.items():
            got = patches.sample(index, 40)
            assert torch.equal(got.clean, expected.clean), "the same square of the clean picture"
            changed[chance] += not torch.equal(got.rainy, expected.rainy)
    assert changed[0.0] == 0 and 6 <= changed[0.5] <= 18 and changed[1.0] >= 20


def test_an_impossible_chance_is_told() -> None:
    table = {
        "name": "x",
        "network": {"name": "realtime-s"},
        "data": {"pairs": ["set"], "pairs_share": 1, "more_drops": 2},
        "train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3},
    }
    with pytest.raises(UsageError, match="more_drops takes a number from 0 to 1, not 2"):
        parse(table, "x.toml")


def test_test_b_is_merged_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = paired_sets.qian(tmp_path / "qian")
    with caplog.at_level(logging.WARNING):
        found = merged(folder)
    assert [pair.name for pair in found.pairs] == ["train/0", "train/1", "test_b/0", "test_b/1"]
    assert found.void == ("test_a", "test_b"), "test_a is a part of test_b"
    assert found.warning in caplog.text and "test_a and test_b are void" in found.warning


def test_training_alone_needs_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = merged(paired_sets.qian(tmp_path / "qian"), ("train",))
    assert (len(found.pairs), found.void, found.warning) == (2, (), "")
    assert not caplog.records


def test_a_split_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    folder = paired_sets.qian(tmp_path / "qian", ("train", "test_a"))
    with pytest.raises(UsageError, match="no split test_b; it has test_a, train"):
        merged(folder)
    with pytest.raises(UsageError, match="no split in the layout of Qian"):
        merged(plain(tmp_path / "plain"))


def test_a_pair_without_its_twin_is_told(tmp_path: Path) -> None:
    folder = paired_sets.qian(tmp_path / "qian")
    (folder / "test_b/gt/1_clean.jpg").unlink()
    with pytest.raises(UsageError, match="test_b: test_b/1_rain has no twin"):
        merged(folder)
