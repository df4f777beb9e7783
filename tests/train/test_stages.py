"""Runs that begin with many small patches and end with large ones, however they are broken off or shared."""

import csv
import logging
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import cast

import pytest
from tiny_runs import TINY, curves, here, kept, photographs, same, tiny

from derain.engines.errors import UsageError
from derain.train.objectives import Restoration, objective_of
from derain.train.patches import ALONE, Batch, RainyPatches, Share
from derain.train.recipe import Recipe, Stage, load_recipe, parse, to_toml
from derain.train.stages import largest, samples_before, stages
from derain.train.steps import Plan
from derain.train.trainer import check_recipe, sources_of, train, training_photos
from derain.train.validation import fixed

pytestmark = pytest.mark.usefixtures("undrawn", "one_thread")


def staged() -> Recipe:
    """Steps 0 and 1 take 4 patches of 32x32, steps 2 and 3 two of 32x32, steps 4 and 5 one of 64x64, and each
    of them twice."""
    later = (Stage(2, 2, 32), Stage(4, 1, 64))
    recipe = tiny()
    return replace(recipe, train=replace(recipe.train, batch=4, patch=32, accumulate=2, stages=later))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photographs(tmp_path / "data")


def patches(data: Path, share: Share = ALONE, first: int = 0) -> RainyPatches:
    recipe = staged()
    return RainyPatches(training_photos(recipe, data), recipe, first, share=share)


def sizes(batches: list[Batch]) -> list[tuple[int, int]]:
    return [(len(batch.rainy), batch.rainy.shape[3]) for batch in batches]


def test_each_stage_has_its_batches_and_patches(data: Path) -> None:
    expected = [(4, 32)] * 4 + [(2, 32)] * 4 + [(1, 64)] * 5
    assert sizes(list(islice(patches(data), 13))) == expected
    assert sizes(list(islice(patches(data, first=7), 3))) == expected[7:10]


@pytest.mark.parametrize("count", [1, 3])
def test_every_sample_is_seen_once_by_one_of_the_processes(count: int, data: Path) -> None:
    shares = [patches(data, Share(rank, count)) for rank in range(count)]
    seen = [index for batch in range(12) for share in shares for index in share.indices(batch)]
    assert seen == list(range(samples_before(staged().train, 6) * count)) == list(range(28 * count))


def test_without_stages_samples_are_counted_as_they_were() -> None:
    alike = replace(staged().train, stages=())
    assert [samples_before(alike, step) for step in (0, 1, 7)] == [0, 8, 56]


def test_a_run_broken_off_on_both_sides_of_a_border_equals_an_unbroken_one(
    data: Path, tmp_path: Path
) -> None:
    train(staged(), here(data, tmp_path / "whole"))
    for _ in range(3):
        train(staged(), here(data, tmp_path / "broken", resume=True, time_limit=0.0))
    train(staged(), here(data, tmp_path / "broken", resume=True))
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "broken"))
    assert curves(tmp_path / "whole") == curves(tmp_path / "broken")


def test_the_run_tells_of_its_stages(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        train(staged(), here(data, tmp_path / "run"))
    assert "from step 4 on batches of 1 patches of 64x64 pixels" in caplog.text
    text = (tmp_path / "run" / "card.md").read_text(encoding="utf-8")
    assert (
        "6 of 6 steps of 8 patches of 32x32 pixels, from step 2 on 4 patches of 32x32 pixels, "
        "from step 4 on 2 patches of 64x64 pixels"
    ) in text


def test_validation_is_on_the_largest_patches_all_along(data: Path) -> None:
    found = fixed(staged(), data)
    assert found is not None and found.rainy.shape == (16, 3, 64, 64)


def test_a_stage_after_the_end_never_comes() -> None:
    short = replace(staged().train, steps=4)
    assert [stage.begin for stage in stages(short)] == [0, 2] and largest(short) == 32
    assert stages(replace(short, steps=0)) == [Stage(0, 4, 32)]


def test_a_recipes_file_has_them(tmp_path: Path) -> None:
    path = tmp_path / "staged.toml"
    told = TINY + "stages = [{ begin = 3, batch = 1, patch = 64 }]\n"
    path.write_text(told)
    assert load_recipe(str(path)).train.stages == (Stage(3, 1, 64),)
    assert load_recipe(str(path), ["train.stages=[]"]).train.stages == ()
    path.write_text(to_toml(staged()))
    assert load_recipe(str(path)).train == staged().train


def test_the_loss_weighs_as_its_stage_says() -> None:
    recipe = staged()
    later = (Stage(2, 2, 32, {"mask_weight": 1}), Stage(4, 1, 64))
    recipe = replace(recipe, train=replace(recipe.train, stages=later))
    plan = Plan(recipe, objective_of(recipe), "cpu", ALONE)
    weights = [cast(Restoration, plan.at(step).objective).mask_weight for step in range(6)]
    assert weights == [4, 4, 1, 1, 4, 4]


def test_a_run_counts_with_the_weights_of_its_stage(data: Path, tmp_path: Path) -> None:
    recipe = staged()
    none = tuple(replace(stage, weights={"attention": 0.0}) for stage in recipe.train.stages)
    train(
        replace(recipe, train=replace(recipe.train, stages=none)), here(data, tmp_path / "run", log_every=1)
    )
    rows = csv.DictReader(curves(tmp_path / "run").splitlines())
    column = [row["value"] for row in rows if row["name"] == "attention"]
    assert [float(text) > 0 for text in column] == [True] * 2 + [False] * 4


def test_weights_that_the_loss_has_not_are_told() -> None:
    recipe = staged()
    wrong = replace(recipe, train=replace(recipe.train, stages=(Stage(2, 1, 32, {"rain": 1.0}),)))
    with pytest.raises(
        UsageError, match=r"^\[train\] stages 1 weights has no key rain; it takes attention, mask"
    ):
        check_recipe(wrong)


@pytest.mark.parametrize(
    "given,sentence",
    [
        (3, r"x.toml \[train\] stages takes a list of tables with begin, batch, patch, weights, not 3$"),
        ([3], r"x.toml \[train\] stages 1 is a table of keys and values, not 3$"),
        ([{"begin": 2, "batch": 1}], r"x.toml \[train\] stages 1 lacks the key patch$"),
        (
            [{"begin": 2, "batch": 1, "patch": 8}],
            r"x.toml \[train\] stages 1 patch takes a whole number from 16 to 4096, not 8$",
        ),
        (
            [{"begin": 4, "batch": 1, "patch": 32}, {"begin": 4, "batch": 1, "patch": 64}],
            r"x.toml \[train\] stages begin one after another, not at \[4, 4\]$",
        ),
        (
            [{"begin": 0, "batch": 1, "patch": 32}],
            r"x.toml \[train\] stages 1 begin takes a whole number from 1 up, not 0$",
        ),
    ],
)
def test_stages_that_can_not_be_are_told(given: object, sentence: str) -> None:
    shares = {"streaks": 1, "drops": 0, "joint": 0, "dry": 0}
    table = {
        "name": "x",
        "network": {"name": "realtime-s"},
        "data": {"photos": ["a"], "shares": shares},
        "train": {"steps": 9, "batch": 1, "patch": 32, "rate": 1e-3, "stages": given},
    }
    with pytest.raises(UsageError, match=sentence):
        parse(table, "x.toml")


def test_patches_that_the_network_or_the_pictures_do_not_take_are_told(data: Path) -> None:
    odd, large = (
        replace(staged(), train=replace(staged().train, stages=(Stage(2, 1, patch),))) for patch in (40, 96)
    )
    with pytest.raises(UsageError, match=r"stages 1 patch takes multiples of 32 with realtime-s, not 40"):
        check_recipe(odd)
    with pytest.raises(UsageError, match=r"patch of 96x96; give \[train\] stages patches of 64 or less"):
        sources_of(large, data)
