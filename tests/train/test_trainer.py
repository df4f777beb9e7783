"""The trainer: a run learns, stops at its limit, and begins as it is told."""

from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from tiny_runs import SIZE, curves, here, kept, photographs, same, tiny
from torch import nn

from derain.engines.errors import UsageError
from derain.train.checkpoint import read
from derain.train.export import ExportOptions, export, load_checkpoint
from derain.train.losses.restoration import masked_l1
from derain.train.objectives import objective_of
from derain.train.patches import RainyPatches
from derain.train.preview import CAPTION, COLUMNS
from derain.train.recipe import NetworkRecipe, Recipe, load_recipe, parse
from derain.train.trainer import fresh_state, train, training_photos

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def recipe() -> Recipe:
    return tiny()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photographs(tmp_path / "data")


def test_the_number_of_workers_changes_nothing(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    """Made here, or a step here and the others by two processes."""
    train(recipe, here(data, tmp_path / "here"))
    train(recipe, here(data, tmp_path / "both", time_limit=0.0))
    train(recipe, here(data, tmp_path / "both", resume=True, workers=2))
    assert same(kept(tmp_path / "here"), kept(tmp_path / "both"))
    assert curves(tmp_path / "here") == curves(tmp_path / "both")


def test_a_time_limit_stops_with_a_checkpoint(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    checkpoint = train(recipe, here(data, tmp_path / "run", time_limit=0.0))
    assert read(checkpoint)["step"] == 1


def test_a_run_learns(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    """On rain it has not seen, the trained network's loss is well below the untrained one's."""
    longer = replace(recipe, train=replace(recipe.train, steps=80, rate=3e-3, batch=4, ema=0.9))
    options = here(data, tmp_path / "run", log_every=40)
    other, apart = replace(longer, seed=99), objective_of(longer).apart
    unseen = next(iter(RainyPatches(training_photos(longer, data), other, apart=apart)))

    def loss(network: nn.Module) -> float:
        with torch.no_grad():
            terms = objective_of(longer).terms(network(unseen.rainy), unseen, None)
        return float(sum(terms.values()))

    before = loss(fresh_state(longer, options).network)
    after = loss(load_checkpoint(train(longer, options)).network)
    assert after < 0.9 * before


def test_a_run_can_begin_with_the_weights_of_another(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    first = train(recipe, here(data, tmp_path / "first"))
    still = replace(recipe, name="still", train=replace(recipe.train, steps=0))
    second = train(still, here(data, tmp_path / "second", start_from=first))
    assert load_checkpoint(second).origin == "tiny at 6 steps"
    expected, got = read(first)["average"], read(second)
    assert same(expected, got["average"]) and same(expected, got["network"])


def test_weights_of_another_network_are_refused(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    first = train(recipe, here(data, tmp_path / "first"))
    wider = replace(recipe, network=NetworkRecipe("realtime-s", {**SIZE, "channels": (16, 8, 12)}))
    with pytest.raises(UsageError, match="another network"):
        train(wider, here(data, tmp_path / "second", start_from=first))


def test_a_checkpoint_of_another_recipe_is_refused(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    options = here(data, tmp_path / "run", resume=True)
    train(recipe, options)
    with pytest.raises(UsageError, match="differs in seed"):
        train(replace(recipe, seed=2), options)


def test_a_run_writes_its_log_and_sample_pictures(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    train(recipe, here(data, tmp_path / "run", log_every=2, checkpoint_every=3))
    sheet = cv2.imread(str(tmp_path / "run" / "samples.png"))
    assert sheet is not None and sheet.shape == (6 * 32, CAPTION + COLUMNS * 32, 3)
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_export_fills_the_card(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    checkpoint = train(recipe, here(data, tmp_path / "run"))
    card = export(checkpoint, tmp_path / "tiny.onnx", ExportOptions(trained_at="abc"))
    assert (card.name, card.commit, card.seed, card.multiple_of) == ("tiny", "abc", 1, 32)
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
        train(recipe, here(data, tmp_path / "file" / "run"))
    checkpoint = train(recipe, here(data, tmp_path / "run"))
    with pytest.raises(UsageError, match="there is no folder"):
        export(checkpoint, tmp_path / "none" / "tiny.onnx")


def test_masked_loss_counts_rain_more() -> None:
    clean = torch.zeros(1, 3, 2, 2)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    under, beside = clean.clone(), clean.clone()
    under[..., 0, 0] = 1
    beside[..., 1, 1] = 1
    assert float(masked_l1(under, clean, mask, 4.0)) == pytest.approx(
        5 * float(masked_l1(beside, clean, mask, 4.0))
    )


@pytest.mark.parametrize(
    "change,message",
    [
        ({"speed": 3}, "has no key speed"),
        ({"data": {"photos": ["a"], "shares": {"streaks": 1.0}}}, "shares must give"),
        ({"network": {}}, "lacks the key name"),
        ({"train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3, "precision": "int4"}}, "fp32 or bf16"),
    ],
)
def test_a_bad_recipe_is_explained(change: dict[str, object], message: str) -> None:
    table = {
        "name": "x",
        "network": {"name": "realtime-s"},
        "data": {"photos": ["a"], "shares": {"streaks": 1, "drops": 0, "joint": 0, "dry": 0}},
        "train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3},
        **change,
    }
    with pytest.raises(UsageError, match=message):
        parse(table, "x.toml")


def test_an_unknown_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(UsageError, match="neither a file nor one of attentive-gan"):
        load_recipe("hurricane")
