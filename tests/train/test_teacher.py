"""Learning from a teacher: what is learned, what is told of it, and that a run keeps to its teacher."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import SIZE, curves, here, kept, photographs, same, tiny

from derain.engines.errors import UsageError
from derain.pipeline.cli import run
from derain.train.checkpoint import read
from derain.train.export import export, load_checkpoint
from derain.train.objectives import objective_of
from derain.train.patches import ALONE, RainyPatches
from derain.train.recipe import LossRecipe, NetworkRecipe, Recipe, Stage, to_toml
from derain.train.record.provenance import sha256_of
from derain.train.run_folder import read_curves
from derain.train.steps import Plan, distilled
from derain.train.trainer import train, training_photos

pytestmark = pytest.mark.usefixtures("undrawn", "one_thread")


def student(distil: float = 2.0) -> Recipe:
    """Of three steps; it learns from a teacher."""
    return replace(tiny(), loss=LossRecipe(distil=distil), train=replace(tiny().train, steps=3))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of another size than its students."""
    larger = NetworkRecipe("realtime-s", {**SIZE, "channels": (12, 8, 8)})
    recipe = replace(tiny(), name="teacher", network=larger, train=replace(tiny().train, steps=1))
    return train(recipe, here(data, tmp_path_factory.mktemp("runs") / "teacher"))


def test_the_term_is_the_distance_to_what_the_teacher_shows(teacher: Path, data: Path) -> None:
    recipe = student()
    network = load_checkpoint(teacher).network
    plan = Plan(recipe, objective_of(recipe), "cpu", ALONE, network)
    batch = next(iter(RainyPatches(training_photos(recipe, data), recipe)))
    with torch.no_grad():
        shown = network(batch.rainy).image.clamp(0, 1)
    assert float(distilled(network, plan, shown, batch)) == 0
    assert float(distilled(network, plan, shown + 0.25, batch)) == pytest.approx(0.25, abs=1e-5)
    half = torch.zeros_like(batch.mask)
    half[..., :16] = 1
    by_mask = batch._replace(mask=half)
    wet, dry = (float(distilled(network, plan, shown + part, by_mask)) for part in (half / 4, (1 - half) / 4))
    assert wet == pytest.approx(5 * dry, rel=1e-4), "rain counts more"


def test_it_changes_what_is_learned_and_has_a_curve(teacher: Path, data: Path, tmp_path: Path) -> None:
    train(student(), here(data, tmp_path / "taught", teacher=teacher))
    train(student(0.0), here(data, tmp_path / "alone"))
    assert not same(kept(tmp_path / "taught"), kept(tmp_path / "alone"))
    terms = {name: value for step, name, value in read_curves(tmp_path / "taught") if step == 3}
    parts = sum(terms[name] for name in ("charbonnier", "spectrum", "attention", "distil"))
    assert terms["loss"] == pytest.approx(parts, rel=1e-4)
    assert terms["distil"] > 0


def test_the_teacher_is_told_on_both_cards(teacher: Path, data: Path, tmp_path: Path) -> None:
    checkpoint = train(student(), here(data, tmp_path / "run", teacher=teacher))
    told = f"teacher at 1 steps, sha256 {sha256_of(teacher)}"
    assert read(checkpoint)["given"]["teacher"] == told
    assert f"- Learned from {told}, too\n" in (tmp_path / "run" / "card.md").read_text(encoding="utf-8")
    assert export(checkpoint, tmp_path / "x.onnx").recipe == f"tiny, 3 steps, taught by {told}"


def test_a_run_goes_on_with_its_own_teacher_only(teacher: Path, data: Path, tmp_path: Path) -> None:
    train(student(), here(data, tmp_path / "whole", teacher=teacher))
    broken = here(data, tmp_path / "broken", teacher=teacher, resume=True)
    train(student(), replace(broken, time_limit=0.0))
    with pytest.raises(
        UsageError, match=r"learned from teacher at 1 steps, sha256 \w+; give that --teacher to go on"
    ):
        train(student(), replace(broken, teacher=tmp_path / "whole" / "checkpoint.pt"))
    with pytest.raises(UsageError, match=r"\[loss\] distil 2 is of what a teacher restores; give --teacher"):
        train(student(), replace(broken, teacher=None))
    moved = tmp_path / "elsewhere.pt"
    shutil.copy(teacher, moved)
    train(student(), replace(broken, teacher=moved))
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "broken"))
    assert curves(tmp_path / "whole") == curves(tmp_path / "broken")


def test_teachers_that_can_not_be_are_told_before_a_run_folder_is_made(
    teacher: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, text = tmp_path / "student.toml", tmp_path / "text.pt"
    recipe.write_text(to_toml(student()))
    text.write_text("no checkpoint")
    odd = "train.stages=[{begin=1, batch=1, patch=24}]"
    words = ["train", str(recipe), "--data", str(data), "--output", str(tmp_path / "run"), "--workers", "0"]
    for extra, sentence in (
        (["--teacher", str(text)], f"{text} is not a checkpoint of derain train"),
        (["--teacher", str(tmp_path / "none.pt")], "no checkpoint at"),
        (
            ["--teacher", str(teacher), "--set", "loss.distil=0"],
            "--teacher is for a recipe that learns from one",
        ),
        (
            ["--teacher", str(teacher), "--set", odd],
            "stages 1 patch takes multiples of 32 with realtime-s, not 24",
        ),
        (["--set", "loss.distil=-1"], "[loss] distil takes a number from 0 up, not -1"),
    ):
        assert run([*words, *extra]) == 2
        told = capsys.readouterr().err
        assert sentence in told and told.count("\n") == 1
        assert not (tmp_path / "run").exists()


def test_a_teacher_that_takes_other_sizes_is_told(teacher: Path, data: Path, tmp_path: Path) -> None:
    spanet = replace(
        student(), network=NetworkRecipe("spanet", {}, 0.0625), loss=LossRecipe("spanet", distil=1)
    )
    smaller = replace(spanet, train=replace(spanet.train, stages=(Stage(1, 1, 24),)))
    with pytest.raises(UsageError, match=r"realtime-s, takes multiples of 32, not patches of 24"):
        train(smaller, here(data, tmp_path / "run", teacher=teacher))
