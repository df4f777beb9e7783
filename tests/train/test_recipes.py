"""The shipped recipes against their papers, and recipes of a user: bases and --set."""

import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import TINY

from derain.engines.errors import UsageError
from derain.train.held_out.clips import DEFAULTS
from derain.train.networks import blocks, realtime
from derain.train.networks.registry import NETWORKS, build_discriminator, build_network, entry
from derain.train.objectives import Game, objective_of
from derain.train.optimisers import judge_optimiser_of, optimiser_of, share_of_rate
from derain.train.recipe import NetworkRecipe, Recipe, load_recipe, parse, shipped, to_toml

EVERY = pytest.mark.parametrize("name", shipped())
SMALL = [name for name in shipped() if name.endswith("-small")]


# The shipped ones


@EVERY
def test_a_shipped_recipe_fits_its_network_and_its_loss(name: str) -> None:
    recipe = load_recipe(name)
    network = entry(recipe.network.name)
    assert recipe.train.patch % network.multiple_of == 0
    assert isinstance(objective_of(recipe), Game) or network.discriminator is None
    with torch.device("meta"):
        built, judge = build_network(recipe.network), build_discriminator(recipe.network)
    assert sum(parameter.numel() for parameter in built.parameters()) > 0
    assert (judge is None) == (network.discriminator is None)
    assert recipe.name == name
    assert recipe.data.photos and recipe.data.terms and recipe.licence
    assert bool(recipe.removes) == (recipe.network.name != "glance")


@EVERY
def test_what_is_measured_on_is_not_trained_on(name: str) -> None:
    data = load_recipe(name).data
    assert not {Path(clip).name for clip in data.clips} & set(DEFAULTS)
    assert not data.clips or any("CC BY 3.0" in terms for terms in data.terms)


@EVERY
def test_a_shipped_recipe_comes_back_from_what_a_run_folder_keeps(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    kept = tmp_path / "recipe.toml"
    kept.write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(str(kept)) == recipe


def test_every_network_has_a_recipe_and_a_twin_that_runs_in_minutes() -> None:
    names = {row.name for row in NETWORKS}
    assert names <= set(shipped()) and {f"{name}-small" for name in names} <= set(shipped())


MINE = {
    "steps", "batch", "patch", "rate", "optimiser", "betas", "schedule", "warmup", "clip", "ema", "precision",
    "stages",
}  # fmt: skip
"""What a twin may change of [train]."""
WIDTHS = {"realtime-s-small": 0.5, "realtime-s-video-small": 0.5}
"""The widths of the twins that are not a quarter as wide: 48 values of a cell want more than 8 channels."""


@pytest.mark.parametrize("name", SMALL)
def test_a_twin_is_the_full_recipe_narrower_on_small_crops(name: str) -> None:
    full, small = load_recipe(name.removesuffix("-small")), load_recipe(name)
    assert small.network.width == WIDTHS.get(name, 0.25) and full.network.width == 1
    assert small.train.patch == 64 and small.train.steps <= 4000
    assert (small.network.name, small.data, small.removes) == (full.network.name, full.data, full.removes)
    assert small.loss.name == full.loss.name
    changed = {key for key, value in asdict(full.train).items() if asdict(small.train)[key] != value}
    assert changed <= MINE
    # Eigen's error has another scale, and its network another start.
    assert {**small.loss.weights, "mean": None} == {**full.loss.weights, "mean": None}
    if not name.startswith("eigen2013"):
        assert (small.loss, small.network.size) == (full.loss, full.network.size)


QIAN = {"theta": 0.8, "scales": [0.6, 0.8, 1.0], "gan": 0.01, "gamma": 0.05}
DAIAM = {"alpha": 0.8, "beta1": 1.0, "beta2": 0.3}
EIGEN = {
    "train.optimiser": "sgd", "train.rate": 0.001, "train.schedule": "inverse", "train.decay": 5e-7,
    "train.batch": 1, "train.patch": 64, "network.size": {"deviation": 0.001}, "loss.name": "eigen",
}  # fmt: skip
SPANET = {
    "train.optimiser": "adam", "train.rate": 0.005, "train.milestones": (5_000, 15_000, 30_000, 50_000),
    "train.schedule": "milestones", "train.batch": 32, "train.steps": 60_000, "loss.name": "spanet",
}  # fmt: skip
ZHANG = {
    "train.rate": 1e-4, "train.batch": 4, "train.patch": 112, "data.flips": True, "data.scales": (1.0, 1.0),
    "loss.name": "daiam", "loss.weights": DAIAM,
}  # fmt: skip
PIX2PIX = {
    "train.optimiser": "adam", "train.betas": (0.5, 0.999), "discriminator.betas": (0.5, 0.999),
    "discriminator.rate": 2e-4, "train.batch": 16, "train.patch": 256, "train.schedule": "constant",
    "loss.name": "pix2pix",
}  # fmt: skip
CONTRAST = {"l1": 100.0, "contrast": 10.0}
PAPERS: dict[str, dict[str, Any]] = {
    "eigen2013": {**EIGEN, "train.steps": 6_500_000, "loss.weights": {}},
    "eigen2013-dirt": {**EIGEN, "train.steps": 5_800_000, "removes": ("dirt",)},
    "eigen2013-patch": {
        **EIGEN, "train.patch": 16, "train.steps": 20_000_000, "loss.weights": {"patches": True},
    },
    **{name: {"loss.name": "attentive-gan", "loss.weights": QIAN} for name in (
        "attentive-gan", "attentive-gan-a", "attentive-gan-a-d", "attentive-gan-a-ad",
    )},
    **{f"spanet{variant}": {**SPANET, "loss.weights": {"attention": weight}} for variant, weight in (
        ("-ba", 0.0), ("-bb", 1.0), ("-bc", 1.0), ("-bd", 1.0), ("-be", 0.0), ("", 1.0),
    )},
    **dict.fromkeys(("dam-zero", "dam-odd", "dam", "daiam", "daiam-daiam"), ZHANG),
    **{name: {**ZHANG, "network.size": {"w": 0.5}} for name in ("d-dam", "d-daiam", "d-daiam-3")},
    "water-gan": {
        **PIX2PIX, "train.betas": (0.9, 0.999), "discriminator.betas": (0.9, 0.999), "train.rate": 2e-4,
        "train.steps": 200 * 54, "loss.weights": {"l1": 0.0},
    },
    "pix2pix": {
        **PIX2PIX, "train.rate": 2e-4, "train.steps": 200 * 54, "loss.weights": {"l1": 100.0},
        "discriminator.real": 1.0, "discriminator.fake": 0.0, "discriminator.flips": (0.0, 0.0),
    },
    "pix2pix-stabilised": {
        **PIX2PIX, "train.rate": 5e-4, "train.steps": 200 * 54, "loss.weights": {"l1": 100.0},
        "discriminator.real": 0.9, "discriminator.fake": 0.1, "discriminator.flips": (0.05, 0.10),
    },
    "pix2pix-future": {**PIX2PIX, "train.rate": 5e-4, "loss.weights": CONTRAST, "data.flips": True},
    "pix2pix-future-qian": {
        **PIX2PIX, "loss.weights": CONTRAST, "data.splits": ("train", "test_b"), "data.more_drops": 0.5,
        "data.pairs": ("pairs/raindrop",), "train.steps": 2 * 200 * 67,
    },
}  # fmt: skip
"""What the papers say of each of their systems; 860 pairs in batches of 16 are 54 steps, 1,062 are 67."""


def at(recipe: Recipe, key: str) -> Any:
    found: Any = recipe
    for part in key.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", PAPERS)
def test_the_hyper_parameters_are_the_papers(name: str) -> None:
    recipe = load_recipe(name)
    assert {key: at(recipe, key) for key in PAPERS[name]} == PAPERS[name]
    # None of the papers has these.
    assert (recipe.train.weight_decay, recipe.train.warmup, recipe.train.clip, recipe.train.ema) == (
        0,
        0,
        0,
        0,
    )
    assert recipe.paper and recipe.data.shares["dry"] == 0


def test_every_full_recipe_of_a_paper_is_in_the_table() -> None:
    ours = {"glance", "realtime-s-fine", *(row.name for row in realtime.NETWORKS)}
    assert set(PAPERS) == {name for name in shipped() if not name.endswith("-small")} - ours


def test_the_rate_of_daiam_goes_from_1e_4_to_1e_6() -> None:
    plan = load_recipe("daiam").train
    rates = [plan.rate * share_of_rate(plan, step) for step in (0, plan.steps - 1)]
    assert rates == pytest.approx([1e-4, 1e-6])


def test_the_optimisers_are_built_as_the_recipes_say() -> None:
    recipe, weights = load_recipe("pix2pix-stabilised"), torch.nn.Linear(1, 1)
    generator, judge = optimiser_of(weights, recipe.train), judge_optimiser_of(weights, recipe)
    assert (generator.defaults["lr"], judge.defaults["lr"]) == (5e-4, 2e-4)
    assert generator.defaults["betas"] == judge.defaults["betas"] == (0.5, 0.999)
    sgd = optimiser_of(weights, load_recipe("eigen2013").train)
    assert isinstance(sgd, torch.optim.SGD) and sgd.defaults["momentum"] == sgd.defaults["weight_decay"] == 0


# A user's own


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a recipe; gives its path."""

    def file(text: str | bytes, name: str = "mine.toml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return file


Write = Callable[..., str]


def test_a_recipe_says_what_differs_from_its_base(write: Write) -> None:
    write(TINY, "tiny.toml")
    middle = 'base = "tiny"\nname = "middle"\n[network]\nsize = { encoder = [1] }\n[train]\nbatch = 4\n'
    write(middle, "middle.toml")
    top = 'base = "middle.toml"\n[network]\nsize = { channels = [8] }\n[data]\nshares = { streaks = 0.0, '
    found = load_recipe(write(top + "drops = 1.0, joint = 0.0, dry = 0.0 }\n"))
    assert (found.name, found.train.batch, found.train.steps) == ("middle", 4, 6)
    # Sizes, shares and weights hang together, and are taken whole.
    assert found.network == NetworkRecipe("realtime-s", {"channels": [8]})
    assert found.data.shares == {"streaks": 0.0, "drops": 1.0, "joint": 0.0, "dry": 0.0}


def test_a_shipped_recipe_can_be_the_base_of_a_file_of_its_own_name(write: Write) -> None:
    found = load_recipe(write('base = "spanet"\n[train]\nbatch = 8\n', "spanet.toml"))
    assert (found.train.batch, found.train.steps) == (8, 60_000)


def test_a_base_that_is_not_there_or_its_own_is_told(write: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine.toml base takes the name of a recipe .* not 'storm'$"):
        load_recipe(write('base = "storm"\n'))
    with pytest.raises(UsageError, match=r"mine.toml base takes the name of a recipe .* not 3$"):
        load_recipe(write("base = 3\n"))
    write('base = "b"\n', "a.toml")
    write('base = "c"\n', "b.toml")
    loop = write('base = "a"\n', "c.toml")
    with pytest.raises(
        UsageError, match=r"c.toml is its own base: .*c.toml of .*b.toml of .*a.toml of .*c.toml"
    ):
        load_recipe(loop)
    folder = tmp_path.name
    write(f'base = "../{folder}/e"\n', "d.toml")
    with pytest.raises(UsageError, match="is its own base"):
        load_recipe(write(f'base = "../{folder}/d.toml"\n', "e.toml"))


def test_an_error_names_the_file_it_stands_in(write: Write) -> None:
    below = write(TINY.replace("steps = 6", "stepz = 6"), "tiny.toml")
    with pytest.raises(UsageError) as caught:
        load_recipe(write('base = "tiny"\n[train]\nsteps = 6\n'))
    assert str(caught.value).startswith(f"{below} [train] has no key stepz; it takes accumulate, ")


def test_set_takes_nested_keys_numbers_lists_and_texts(write: Write) -> None:
    found = load_recipe(write(TINY), [
        "train.batch=4", "train.betas=[0.5, 0.9]", "name=other", 'data.photos=["a", "b"]', "data.flips=false",
        "data.shares.streaks=0.4", "data.shares.dirt=0.1", "network.size.encoder=[1, 1, 2]",
        "discriminator.rate=1e-3", "licence=", "paper=one = two", "loss.weights={attention = 0.5}",
    ])  # fmt: skip
    assert (found.train.batch, found.train.betas, found.name) == (4, (0.5, 0.9), "other")
    assert (found.data.photos, found.data.flips) == (("a", "b"), False)
    assert found.data.shares == {"streaks": 0.4, "drops": 0.3, "joint": 0.1, "dry": 0.1, "dirt": 0.1}
    assert found.network.size == {"encoder": [1, 1, 2]}
    assert (found.discriminator.rate, found.licence, found.paper) == (1e-3, "", "one = two")
    assert found.loss.weights == {"attention": 0.5}


def test_a_later_set_wins_and_the_recipe_is_not_changed(write: Write) -> None:
    path = write(TINY)
    assert load_recipe(path, ["train.batch=4", "train.batch=5"]).train.batch == 5
    assert load_recipe(path).train.batch == 2


def test_a_value_of_two_lines_is_no_second_key(write: Write) -> None:
    with pytest.raises(UsageError, match=r"batch takes a whole number from 1 to 4096, not '4\\nsteps = 5'"):
        load_recipe(write(TINY), ["train.batch=4\nsteps = 5"])


def test_a_size_may_name_its_block(write: Write) -> None:
    text = TINY.replace("[network]", '[network]\nsize = { block = "gated" }')
    recipe = load_recipe(write(text))
    assert recipe.network.size == {"block": "gated"}
    with torch.device("meta"):
        assert any(isinstance(layer, blocks.Gated) for layer in build_network(recipe.network).modules())
    assert load_recipe(write(to_toml(recipe))) == recipe


def test_odd_texts_survive_the_way_to_a_file_and_back(write: Write) -> None:
    odd = 'a "quoted" \\ é 雨 \U0001f327 \x7f \x01 \n end'
    table = tomllib.loads(TINY)
    recipe = parse({**table, "licence": odd, "paper": "x = 1"}, "r")
    assert load_recipe(write(to_toml(recipe))) == recipe
