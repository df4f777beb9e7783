"""The trainer: a run learns, stops at its limit, and goes on bit by bit where it was."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from derain.engines.errors import UsageError
from derain.train.export import ExportOptions, export, load_checkpoint
from derain.train.losses.restoration import masked_l1, restoration_loss
from derain.train.patches import RainyPatches
from derain.train.recipe import DataRecipe, NetworkRecipe, OptimiserRecipe, Recipe, load_recipe, parse
from derain.train.trainer import RunOptions, fresh_state, learning_rate, train, training_photos

SHARES = {"streaks": 0.5, "drops": 0.3, "joint": 0.1, "dry": 0.1}


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        name="tiny",
        network=NetworkRecipe("realtime", {"channels": (8, 8, 8), "blocks": (1, 1, 1)}),
        data=DataRecipe(("photos",), SHARES, hold_out=4),
        train=OptimiserRecipe(steps=6, batch=2, patch=32, rate=1e-3, warmup=2),
        licence="MIT",
        removes=("streaks",),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "photos"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(5):
        photo = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
        cv2.imwrite(str(folder / f"{index}.png"), photo)
    return folder.parent


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    content = torch.load(checkpoint, weights_only=True)
    return {**content["network"], **{f"average.{k}": v for k, v in content["average"].items()}}


def test_a_resumed_run_equals_an_unbroken_one(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    whole = train(recipe, RunOptions(data, tmp_path / "whole", workers=0))
    broken = RunOptions(data, tmp_path / "broken", workers=0, time_limit=0.0)
    for _ in range(recipe.train.steps):
        last = train(recipe, broken)
    assert load_checkpoint(last).step == recipe.train.steps
    expected, got = weights(whole), weights(last)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_the_number_of_workers_changes_nothing(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    runs = [weights(train(recipe, RunOptions(data, tmp_path / str(n), workers=n))) for n in (0, 2)]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_a_time_limit_stops_with_a_checkpoint(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    checkpoint = train(recipe, RunOptions(data, tmp_path / "run", workers=0, time_limit=0.0))
    assert load_checkpoint(checkpoint).step == 1


def test_a_run_learns(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    """On rain it has not seen, the trained network's loss is well below the untrained one's."""
    longer = replace(recipe, train=replace(recipe.train, steps=80, rate=3e-3, batch=4, ema=0.9))
    options = RunOptions(data, tmp_path / "run", workers=0)
    unseen = next(iter(RainyPatches(training_photos(longer, data), replace(longer, seed=99), 0)))

    def loss(network: nn.Module) -> float:
        rainy, clean, mask = unseen
        with torch.no_grad():
            restored, logits = network(rainy)
        return float(restoration_loss(restored, logits, clean, mask, longer.loss))

    before = loss(fresh_state(longer, "cpu").network)
    after = loss(load_checkpoint(train(longer, options)).network)
    assert after < 0.9 * before


def test_a_run_can_begin_with_the_weights_of_another(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    first = train(recipe, RunOptions(data, tmp_path / "first", workers=0))
    still = replace(recipe, name="still", train=replace(recipe.train, steps=0))
    second = train(still, RunOptions(data, tmp_path / "second", workers=0, start_from=first))
    assert load_checkpoint(second).origin == "tiny at 6 steps"
    expected, got = weights(first), weights(second)
    assert all(torch.equal(expected[name], got[name]) for name in expected if name.startswith("average."))


def test_weights_of_another_network_are_refused(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    first = train(recipe, RunOptions(data, tmp_path / "first", workers=0))
    wider = replace(recipe, network=NetworkRecipe("realtime", {"channels": (16, 8, 8), "blocks": (1, 1, 1)}))
    with pytest.raises(UsageError, match="another network"):
        train(wider, RunOptions(data, tmp_path / "second", workers=0, start_from=first))


def test_a_checkpoint_of_another_recipe_is_refused(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    options = RunOptions(data, tmp_path / "run", workers=0)
    train(recipe, options)
    with pytest.raises(UsageError, match="differs in seed"):
        train(replace(recipe, seed=2), options)


def test_a_run_writes_its_log_and_sample_pictures(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    train(recipe, RunOptions(data, tmp_path / "run", workers=0, log_every=2, checkpoint_every=3))
    sheet = cv2.imread(str(tmp_path / "run" / "samples.png"))
    assert sheet is not None and sheet.shape == (5 * 32, 2 * 32, 3)
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_export_fills_the_card(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    checkpoint = train(recipe, RunOptions(data, tmp_path / "run", workers=0))
    card = export(checkpoint, tmp_path / "tiny.onnx", ExportOptions(trained_at="abc"))
    assert (card.name, card.commit, card.seed, card.multiple_of) == ("tiny", "abc", 1, 16)
    assert card.recipe == "tiny, 6 steps"
    assert card.halo > 40
    assert (tmp_path / "tiny.onnx").stat().st_size < 3_000_000


def test_export_names_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    for name in ("other.pt", "text.pt"):
        with pytest.raises(UsageError, match="not a checkpoint"):
            load_checkpoint(tmp_path / name)


def test_places_that_can_not_be_written_are_named(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"run folder .* can't be made"):
        train(recipe, RunOptions(data, tmp_path / "file" / "run", workers=0))
    checkpoint = train(recipe, RunOptions(data, tmp_path / "run", workers=0))
    with pytest.raises(UsageError, match="there is no folder"):
        export(checkpoint, tmp_path / "none" / "tiny.onnx")


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    plan = OptimiserRecipe(steps=100, batch=1, patch=32, rate=1.0, warmup=10)
    rates = [learning_rate(plan, step) for step in (0, 9, 10, 55, 100)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.0])


def test_masked_loss_counts_rain_more() -> None:
    clean = torch.zeros(1, 3, 2, 2)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    under, beside = clean.clone(), clean.clone()
    under[..., 0, 0] = 1
    beside[..., 1, 1] = 1
    assert float(masked_l1(under, clean, mask, 4.0)) == pytest.approx(
        5 * float(masked_l1(beside, clean, mask, 4.0))
    )


def test_shipped_recipes_load() -> None:
    for name in ("realtime", "realtime-fine"):
        recipe = load_recipe(name)
        assert recipe.network.size["channels"] == [32, 48, 96]
        assert recipe.data.terms


@pytest.mark.parametrize(
    "change,message",
    [
        ({"speed": 3}, "unknown keys speed"),
        ({"data": {"photos": ["a"], "shares": {"streaks": 1.0}}}, "shares must give"),
        ({"network": {}}, "lacks a key"),
        ({"train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3, "precision": "int4"}}, "fp32 or bf16"),
    ],
)
def test_a_bad_recipe_is_explained(change: dict[str, object], message: str) -> None:
    table = {
        "name": "x",
        "network": {"name": "realtime"},
        "data": {"photos": ["a"], "shares": SHARES},
        "train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3},
        **change,
    }
    with pytest.raises(UsageError, match=message):
        parse(table, "x.toml")


def test_an_unknown_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(UsageError, match="neither a file nor one of realtime"):
        load_recipe("hurricane")
