"""Patches of pairs: the same for a seed whatever makes them, in bounded memory; a bad file is named once."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import paired_sets
import pytest
import torch
from paired_sets import plain, rained, scene, write

from derain.engines.errors import DerainError, UsageError
from derain.train.datasets import read_pairs
from derain.train.degradations.masks import trains_rain
from derain.train.patches import Batch, RainyPatches, pixels
from derain.train.recipe import DataRecipe, NetworkRecipe, OptimiserRecipe, Recipe, parse
from derain.train.sets.crops import PairCache, PairCrops, PatchOptions
from derain.train.sets.layouts import Pair
from derain.train.sets.loader import load
from derain.train.trainer import training_pairs, training_photos


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Pair, ...]:
    return read_pairs(plain(tmp_path / "set"))


def of_pairs(pairs: tuple[Pair, ...], patch: int = 16, seed: int = 5, first: int = 0) -> RainyPatches:
    """Batches of two patches, all of pairs."""
    data = DataRecipe(pairs=("set",), pairs_share=1.0)
    train = OptimiserRecipe(steps=1, batch=2, patch=patch, rate=1e-3)
    recipe = Recipe("tiny", NetworkRecipe("realtime-s"), data, train, seed=seed)
    return RainyPatches((), recipe, first, pairs)


def taken(patches: RainyPatches, count: int) -> list[Batch]:
    return list(itertools.islice(load(patches, workers=0), count))


def equal(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y)
        for one, other in zip(a, b, strict=True)
        for x, y in zip(one[:3], other[:3], strict=True)
    )


def test_a_batch_has_the_trainers_shapes(pairs: tuple[Pair, ...]) -> None:
    ((rainy, clean, mask, drops, streaks),) = taken(of_pairs(pairs), 1)
    assert drops is None and streaks is None, "nothing asked for them"
    assert rainy.shape == clean.shape == (2, 3, 16, 16) and mask.shape == (2, 1, 16, 16)
    for tensor in (rainy, clean, mask):
        assert tensor.dtype == torch.float32 and 0 <= float(tensor.min()) <= float(tensor.max()) <= 1


def test_rainy_and_clean_are_the_same_square(pairs: tuple[Pair, ...]) -> None:
    for rainy, clean, mask, *_ in taken(of_pairs(pairs), 10):
        assert float((rainy - clean).median()) == pytest.approx(20 / 255, abs=0.02)
        streaks = (rainy - clean).amax(dim=1, keepdim=True) > 30 / 255
        assert torch.all(mask[streaks] == 1)


def test_a_run_sees_the_same_after_an_interruption(pairs: tuple[Pair, ...]) -> None:
    whole = taken(of_pairs(pairs), 6)
    assert equal(whole[4:], taken(of_pairs(pairs, first=4), 2))
    assert not equal(whole, taken(of_pairs(pairs, seed=6), 6))


def test_workers_make_the_same_and_tell_a_bad_file_in_one_sentence(pairs: tuple[Pair, ...]) -> None:
    patches = of_pairs(pairs)
    patches.pairs = PairCrops(pairs, PatchOptions(patch=16, batch=2, cache=0))
    batches = load(patches, workers=2)
    assert equal(list(itertools.islice(batches, 6)), taken(patches, 6))
    for pair in pairs:
        pair.rainy.write_text("no picture")
    with pytest.raises(DerainError, match=r"^[^\n]*rainy/\d\.png is not a picture[^\n]*$"):
        list(itertools.islice(batches, 100))


def test_patches_are_scaled_and_mirrored_as_asked(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8)[None, :, None] * 4, (60, 60, 3))
    for place in ("rainy", "clean"):
        write(tmp_path / place / "0.png", np.ascontiguousarray(ramp))

    def slopes(options: PatchOptions) -> set[float]:
        crops = PairCrops(read_pairs(tmp_path), options)
        drawn = (crops.draw(np.random.default_rng(n))[1] for n in range(30))
        return {round(float(np.median(np.diff(clean[8, 2:-2, 0]))) * 255 / 4, 1) for clean in drawn}

    assert slopes(PatchOptions(16, 1, scales=(1, 1), flips=False)) == {1.0}
    assert slopes(PatchOptions(16, 1, scales=(1, 1))) == {1.0, -1.0}
    assert slopes(PatchOptions(16, 1, scales=(0.5, 0.5), flips=False)) == {2.0}
    assert slopes(PatchOptions(16, 1, scales=(2, 2), flips=False)) == {0.5}


def test_the_cache_keeps_what_was_read_last_within_its_bytes(tmp_path: Path) -> None:
    pairs = read_pairs(plain(tmp_path))
    size = 2 * 48 * 64 * 3
    cache = PairCache(2 * size)
    kept = [cache.read(pair) for pair in pairs]
    assert cache.held == 2 * size
    assert cache.read(pairs[1])[0] is kept[1][0]
    assert cache.read(pairs[0])[0] is not kept[0][0]  # the oldest had gone
    assert cache.read(pairs[1])[0] is kept[1][0]
    assert cache.read(pairs[2])[0] is not kept[2][0]  # the one not asked for since had to go
    small = PairCache(size - 1)
    small.read(pairs[0])
    assert small.held == 0


def test_a_bad_file_is_one_sentence_that_names_it(tmp_path: Path) -> None:
    folder = plain(tmp_path, (0,))
    pairs = read_pairs(folder)
    (folder / "rainy" / "0.png").write_text("no picture")
    with pytest.raises(DerainError, match=r"^[^\n]*rainy/0\.png is not a picture[^\n]*$"):
        taken(of_pairs(pairs), 3)


def test_pictures_smaller_than_a_patch_are_named(pairs: tuple[Pair, ...]) -> None:
    with pytest.raises(
        DerainError, match=r"the pair \d is 64x48, smaller than a patch of 49x49; take a smaller"
    ):
        taken(of_pairs(pairs, patch=49), 1)


def test_pairs_of_two_sizes_are_named(tmp_path: Path) -> None:
    write(tmp_path / "clean" / "a.png", scene(1))
    write(tmp_path / "rainy" / "a.png", rained(scene(1, 40, 40)))
    with pytest.raises(DerainError, match="the pair a has different sizes"):
        taken(of_pairs(read_pairs(tmp_path)), 1)


def test_pairs_side_by_side_make_patches(tmp_path: Path) -> None:
    ((rainy, clean, *_),) = taken(of_pairs(read_pairs(paired_sets.did_mdn(tmp_path))), 1)
    assert float((rainy - clean).median()) == pytest.approx(20 / 255, abs=0.03)


def test_wrong_options_are_one_sentence(pairs: tuple[Pair, ...]) -> None:
    with pytest.raises(UsageError, match="there are no pairs"):
        PairCrops((), PatchOptions(16, 1))
    with pytest.raises(UsageError, match="patch takes 1 and more, not 0"):
        PatchOptions(0, 1)
    with pytest.raises(UsageError, match="scales takes two factors above 0"):
        PatchOptions(16, 1, scales=(2, 1))
    with pytest.raises(UsageError, match="seed and cache take 0 and more, not -1"):
        PatchOptions(16, 1, seed=-1)
    with pytest.raises(UsageError, match="workers takes 0 and more, not -1"):
        load(of_pairs(pairs), -1)


def recipe(share: float, patch: int = 16) -> Recipe:
    shares = {"streaks": 0.0, "drops": 0.0, "joint": 0.0, "dry": 1.0}
    return Recipe(
        name="tiny",
        network=NetworkRecipe("realtime-s"),
        data=DataRecipe(("photos",), shares, hold_out=2, pairs=("set",), pairs_share=share),
        train=OptimiserRecipe(steps=1, batch=8, patch=patch, rate=1e-3),
    )


def data(tmp_path: Path) -> Path:
    plain(tmp_path / "set")
    for n in (0, 1):
        write(tmp_path / "photos" / f"{n}.png", np.full((32, 32, 3), 255, np.uint8))
    return tmp_path


def made(recipe: Recipe, folder: Path) -> Iterator[Batch]:
    """The batches a run of the recipe would see."""
    photos, pairs = training_photos(recipe, folder), training_pairs(recipe, folder)
    return load(RainyPatches(photos, recipe, 0, pairs), workers=0)


def flat(batch: Batch) -> int:
    """How many of its clean patches are of the white photographs, though some be darkened to a night."""
    return int((batch[1].amax(dim=(1, 2, 3)) - batch[1].amin(dim=(1, 2, 3)) < 0.05).sum())


@pytest.mark.parametrize("share,least,most", [(0.0, 24, 32), (0.5, 8, 22), (1.0, 0, 0)])
def test_a_recipe_mixes_pairs_with_photographs(share: float, least: int, most: int, tmp_path: Path) -> None:
    batches = made(recipe(share), data(tmp_path))
    assert least <= sum(flat(next(batches)) for _ in range(4)) <= most


def test_a_recipe_that_names_a_folder_without_pairs_is_told_before_the_run(tmp_path: Path) -> None:
    folder = data(tmp_path)
    wrong = replace(recipe(0.5), data=replace(recipe(0.5).data, pairs=("photos",)))
    with pytest.raises(UsageError, match="photos is not a set of pairs"):
        made(wrong, folder)


def test_photographs_smaller_than_a_patch_are_named(tmp_path: Path) -> None:
    batches = made(recipe(0.0, patch=33), data(tmp_path))
    with pytest.raises(DerainError, match=r"photos/1\.png is 32x32, smaller than a patch of 33x33; take"):
        next(batches)


def test_a_share_is_from_0_to_1() -> None:
    table = {
        "name": "x",
        "network": {"name": "realtime-s"},
        "data": {"photos": [], "shares": {"streaks": 1, "drops": 0, "joint": 0, "dry": 0}, "pairs_share": 2},
        "train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3},
    }
    with pytest.raises(UsageError, match="pairs_share takes a number from 0 to 1, not 2"):
        parse(table, "x.toml")


def chosen(pairs: tuple[Pair, ...]) -> RainyPatches:
    """As `of_pairs`, of Eigen's choice."""
    patches = of_pairs(pairs)
    patches.recipe = replace(patches.recipe, data=replace(patches.recipe.data, chosen=True))
    return patches


def test_chosen_patches_show_rain_on_detail(pairs: tuple[Pair, ...]) -> None:
    def shown(batch: Batch) -> list[bool]:
        twins = zip(batch.rainy, batch.clean, strict=True)
        return [trains_rain(pixels(rainy), pixels(clean)) for rainy, clean in twins]

    assert not all(one for batch in taken(of_pairs(pairs), 20) for one in shown(batch))
    assert all(one for batch in taken(chosen(pairs), 20) for one in shown(batch))


def test_where_nothing_can_be_chosen_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derain.train.patches.MOST_DRAWN", 5)
    flat = np.full((48, 48, 3), 90, np.uint8)
    for side in ("rainy", "clean"):
        write(tmp_path / "set" / side / "0.png", flat)
    with pytest.raises(DerainError, match="of 5 patches none has detail and rain; give other photos or more"):
        taken(chosen(read_pairs(tmp_path / "set")), 1)
