"""Rainy clips to train on: pictures that move, rain that falls through them, the same for the same number."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import clips
import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny_runs import PHOTOS, here, photographs, tiny

from derain.engines.errors import DerainError, UsageError
from derain.train import camera_path
from derain.train.camera_path import CameraPath, along, looked_at, margin
from derain.train.clips import RainyClips, footage, patches_of
from derain.train.degradations.masks import trains_rain
from derain.train.patches import Batch, RainyPatches, pixels
from derain.train.recipe import Recipe, parse
from derain.train.trainer import train, training_photos

FRAMES = 3
DRY = {"streaks": 0.0, "drops": 0.0, "joint": 0.0, "dry": 1.0}


def recipe_of(**data: Any) -> Recipe:
    return replace(tiny(), data=replace(PHOTOS, **{"frames": FRAMES, **data}))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("clips") / "data")


def clips_of(data: Path, recipe: Recipe, **how: Any) -> RainyClips:
    return RainyClips(training_photos(recipe, data), recipe, **how)


def scene(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Dark and alike for five pictures, then bright: the red of each tells its number."""
    level = 20 + 4 * number if number < 5 else 150 + 4 * number
    picture = np.full((height, width, 3), 60 if number < 5 else 200, np.uint8)
    picture[..., 0] = level
    return picture


def filmed(folder: Path, **how: Any) -> Path:
    """A clip of 12 pictures of 64x48 with a cut before the sixth."""
    return clips.Clip(codec="ffv1", pixel_format="bgr0", picture=scene, **how).write(folder / "film.mkv")


# Samples


def test_a_sample_is_a_clip_with_its_masks_and_depends_on_its_number_alone(data: Path) -> None:
    one, other = (clips_of(data, recipe_of(), apart="absolute") for _ in range(2))
    found = one.sample(4, 32)
    assert found.drops is not None and found.streaks is not None
    assert found.rainy.shape == found.clean.shape == (FRAMES, 3, 32, 32)
    assert found.mask.shape == found.drops.shape == found.streaks.shape == (FRAMES, 1, 32, 32)
    other.sample(3, 32)
    assert all(torch.equal(a, b) for a, b in zip(found, other.sample(4, 32), strict=True))  # type: ignore[arg-type]


def test_a_run_that_goes_on_sees_the_batches_that_would_have_come(data: Path) -> None:
    recipe = recipe_of()
    _, second = islice(clips_of(data, recipe), 2)
    (again,) = islice(clips_of(data, recipe, first=1), 1)
    assert second.rainy.shape == (2, FRAMES, 3, 32, 32) and torch.equal(second.rainy, again.rainy)


def test_of_one_frame_there_are_patches_as_ever(data: Path) -> None:
    recipe = recipe_of(frames=1)
    photos = training_photos(recipe, data)
    expected, got = (next(iter(one)) for one in (RainyPatches(photos, recipe), patches_of(recipe, photos)))
    assert torch.equal(expected.rainy, got.rainy)


def standing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_path, "sample", lambda rng, size, seconds: CameraPath())


def overlap(found: Batch) -> float:
    """How much of the rain lies where it lay in the frame before, 0..1."""
    one, other = found.mask[:-1] > 0.5, found.mask[1:] > 0.5
    return float((one & other).sum() / (one | other).sum().clamp(min=1))


def test_drops_stay_on_the_lens_and_streaks_fall(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standing(monkeypatch)
    found = {}
    for kind in ("drops", "streaks"):
        patches = clips_of(data, recipe_of(shares={**DRY, "dry": 0.0, kind: 1.0}))
        found[kind] = np.median([overlap(patches.sample(index, 64)) for index in range(8)])
    assert found["drops"] > 0.9 and found["streaks"] < 0.5


def test_what_a_standing_camera_sees_stays(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standing(monkeypatch)
    patches = clips_of(data, recipe_of(shares=DRY))
    for index in range(4):
        clean = patches.sample(index, 32).clean
        assert torch.equal(clean, clean[:1].expand_as(clean)) and clean.std() > 0.01


def test_a_moving_camera_moves_the_background_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_path, "sample", lambda rng, size, seconds: CameraPath(right=size / seconds))
    found = clips_of(data, recipe_of(shares={**DRY, "dry": 0.0, "drops": 1.0})).sample(4, 64)
    moved = (found.clean[1] - found.clean[0]).abs().mean()
    assert moved > 0.02 and overlap(found) > 0.5


def test_chosen_clips_have_detail_and_rain(data: Path) -> None:
    recipe = recipe_of(chosen=True, shares={**DRY, "dry": 0.5, "streaks": 0.5})
    for index in range(4):
        found = clips_of(data, recipe).sample(index, 32)
        assert trains_rain(pixels(found.rainy[0]), pixels(found.clean[0]))


# The camera


def ramp(side: int) -> npt.NDArray[np.float32]:
    """Red grows by a fixed step to the right and green downwards: a pixel tells where it is from."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    return np.asarray(np.stack([x, y, 0 * x], axis=-1) / 1000, np.float32)


@pytest.mark.parametrize("number", range(8))
def test_a_camera_sees_what_its_path_says_and_nothing_beyond_the_photograph(number: int) -> None:
    """Beyond, the photograph would be mirrored."""
    size, times = 32, [-0.1, 0.0, 0.1]
    path = camera_path.sample(np.random.default_rng(number), size, 0.3)
    side = size + 2 * margin(path, times, size)
    for time, seen in zip(times, along(path, ramp(side), times, size), strict=True):
        corners = np.array([[0, 0, 1], [size - 1, 0, 1], [0, size - 1, 1], [size - 1, size - 1, 1]]).T
        expected = (looked_at(path, time, size) @ corners).T + (side - 1) / 2
        got = seen[[0, 0, -1, -1], [0, -1, 0, -1], :2] * 1000
        np.testing.assert_allclose(got, expected, atol=0.25)


def test_a_camera_that_goes_right_by_a_pixel_a_picture_shifts_them_by_one() -> None:
    photo = np.random.default_rng(0).random((20, 20, 3), np.float32)
    first, second = along(CameraPath(right=25), photo, [0.0, 1 / 25], 16)
    np.testing.assert_allclose(first, photo[2:-2, 2:-2], atol=1e-6)
    np.testing.assert_allclose(second[:, :-1], first[:, 1:], atol=1e-3)


def test_zoom_enlarges_about_the_middle() -> None:
    path = CameraPath(zoom=np.log(2) / 2)
    (far, near) = along(path, ramp(48), [-1.0, 1.0], 16)
    assert np.ptp(far[..., 0]) / np.ptp(near[..., 0]) == pytest.approx(2.0, rel=0.03)
    assert far[8, 8, 0] == pytest.approx(near[8, 8, 0], abs=1e-3)


def test_paths_differ_and_some_stand() -> None:
    rng = np.random.default_rng(1)
    found = [camera_path.sample(rng, 64, 0.25) for _ in range(100)]
    assert 15 <= found.count(CameraPath()) <= 45
    assert all(np.hypot(path.right, path.down) * 0.25 <= 64.001 for path in found)


# Real clips


def test_pictures_of_a_real_clip_follow_one_another_at_its_own_times(tmp_path: Path) -> None:
    film = filmed(tmp_path, times=(0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13))
    recipe = recipe_of(photos=(), clips=("film.mkv",), clips_share=1.0)
    patches = RainyClips((), recipe, clips=[film])
    seen = set()
    for index in range(40):
        pictures, times = patches.of_footage(np.random.default_rng(index), 32)
        reds = [round(float(picture[..., 0].mean()) * 255) for picture in pictures]
        numbers = [(red - 20) // 4 if red < 100 else (red - 150) // 4 for red in reds]
        assert numbers == list(range(numbers[0], numbers[0] + FRAMES)), "none over the cut"
        at = [(0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13)[number] for number in numbers]
        assert times == pytest.approx([(one - at[0]) / 25 for one in at])
        seen.add(numbers[0])
    assert seen == {0, 1, 2, 5, 6, 7, 8, 9}


def test_clips_and_photos_are_mixed_by_their_share(data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shares=DRY, clips=("film.mkv",), clips_share=0.5)
    patches = clips_of(data, recipe, clips=[filmed(tmp_path)])
    plain = [float(patches.sample(index, 32).clean.std(dim=(2, 3)).max()) < 0.01 for index in range(20)]
    assert 4 <= plain.count(True) <= 16


def test_the_square_that_is_cut_stays_where_it_is(tmp_path: Path) -> None:
    def still(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)

    film = clips.Clip(codec="ffv1", pixel_format="bgr0", picture=still).write(tmp_path / "film.mkv")
    pictures, _ = RainyClips((), recipe_of(photos=()), clips=[film]).of_footage(np.random.default_rng(0), 32)
    assert all(np.array_equal(pictures[0], other) for other in pictures[1:])


def test_a_clip_without_enough_pictures_in_a_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DerainError, match=r"film.mkv has no 8 pictures in a row .*; give --set data.frames=4"
    ):
        footage(filmed(tmp_path), 8, 32)


@pytest.mark.parametrize(
    "patch,sentence",
    [
        (32, "missing.mkv"),
        (64, "film.mkv is 64x48, smaller than a patch of 64x64; give --set train.patch=48"),
    ],
)
def test_clips_that_can_not_be_used_are_named_before_training(
    patch: int, sentence: str, data: Path, tmp_path: Path
) -> None:
    folder = photographs(tmp_path / "data")
    name = filmed(folder).name if patch == 64 else "missing.mkv"
    recipe = recipe_of(clips=(name,))
    recipe = replace(recipe, train=replace(recipe.train, patch=patch))
    with pytest.raises(UsageError, match=sentence):
        train(recipe, here(folder, tmp_path / "run"))


def table(data: dict[str, object], **others: object) -> dict[str, object]:
    return {
        "name": "x",
        "network": {"name": "realtime-s"},
        "data": {"shares": DRY, **data},
        "train": {"steps": 1, "batch": 1, "patch": 32, "rate": 1e-3},
        **others,
    }


@pytest.mark.parametrize(
    "change,sentence",
    [
        (lambda: table({"photos": ["a"], "frames": 0}), "frames takes a whole number from 1 to 64, not 0"),
        (lambda: table({"photos": ["a"], "clips": ["b"]}), r"clips are cut in samples of frames, 2 or more"),
        (lambda: table({"frames": 2}), "names neither photos nor clips to train on"),
        (lambda: table({"clips": ["b"], "frames": 2}), "clips_share is 1 where there are no photos, not 0.3"),
        (
            lambda: table({"photos": ["a"], "pairs": ["b"], "frames": 2}),
            "pairs are single pictures, of which",
        ),
        (lambda: table({"photos": ["a"]}, loss={"temporal": 1}), r"temporal is of clips: \[data\] frames"),
        (
            lambda: table({"clips": ["b"], "clips_share": 1, "frames": 2, "shares": {"dry": 1.0}}),
            "shares must give streaks",
        ),
    ],
)
def test_recipes_of_clips_that_can_not_be_are_told(
    change: Callable[[], dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(change(), "x.toml")
