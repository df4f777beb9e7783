"""Dirt by Eigen's formula, and a real pane measured from pictures with and without it."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from derain.engines.errors import DerainError
from derain.pipeline.cli import run
from derain.train.degradations import dirt, masks, pane
from derain.train.degradations.dirt_estimate import estimate
from derain.train.degradations.dirt_marks import Mark, Print, Ring, Smear, Specks
from derain.train.degradations.pane import Pane, before
from derain.train.degradations.rain import Picture

SIZE = (48, 64)
CLEAN = np.full((*SIZE, 3), 0.6, np.float32)
MUD = (0.3, 0.2, 0.1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def dirty(*marks: Mark, defocus: float = 0.0, seed: int = 1) -> dirt.Dirt:
    return dirt.Dirt((1.0, 1.0, 1.0), defocus, 0.0, marks, None, seed)


def test_the_formula_is_eigens() -> None:
    glass = Pane(np.full(SIZE, 0.25, np.float32), np.full((*SIZE, 3), 0.1, np.float32))
    seen = before(CLEAN, glass, (1.0, 0.5, 0.0))
    assert seen[5, 5] == pytest.approx([0.75 * 0.6 + 0.1, 0.75 * 0.6 + 0.05, 0.75 * 0.6], abs=1e-6)


def test_p_is_near_one_times_an_even_brightness() -> None:
    drawn = np.array([dirt.sample_p(rng(seed)) for seed in range(300)])
    brightness = drawn.mean(axis=1, keepdims=True)
    assert drawn.min() > 0 and drawn.max() < 1.1
    assert brightness.mean() == pytest.approx(0.5, abs=0.06)
    assert np.ptp(brightness) > 0.9
    assert 1.15 < (drawn.max(axis=1) / drawn.min(axis=1)).max() <= 1.1 / 0.9


@pytest.mark.parametrize(
    "mark",
    [
        Specks(60.0, 2.0, 0.3, 0.8, MUD),
        Smear(32, 24, 40, 12, 0.5, 0.8, MUD),
        Ring(32, 24, 12, 2, 0.8, MUD),
        Print(32, 24, 18, 5, 0.3, 0.8, MUD),
    ],
)
def test_every_mark_hides_up_to_its_alpha_and_shows_its_colour(mark: Mark) -> None:
    params = dirty(mark)
    glass = dirt.pane_of(params, *SIZE)
    assert 0.35 < glass.alpha.max() <= 0.8 + 1e-6
    assert (glass.alpha == 0).any()
    thick = glass.alpha > 0.3
    colour = glass.added[thick] / glass.alpha[thick][:, None]
    assert np.all(colour <= np.array(MUD) + 1e-5) and np.all(colour >= 0.69 * np.array(MUD))
    rainy = dirt.apply(CLEAN, params)
    assert np.array_equal(rainy.image[glass.alpha == 0], CLEAN[glass.alpha == 0])
    assert rainy.mask[thick].all()


def test_a_ring_lies_at_its_radius() -> None:
    glass = dirt.pane_of(dirty(Ring(32, 24, 14, 1.5, 0.9, MUD)), *SIZE)
    y, x = np.argwhere(glass.alpha > 0.5).T
    distance = np.hypot(x - 32, y - 24)
    assert distance.min() > 10 and distance.max() < 19


def test_a_mark_beside_the_picture_is_no_error() -> None:
    far = (Smear(-500, 24, 40, 12, 0.5, 0.8, MUD), Ring(32, 900, 14, 1.5, 0.9, MUD))
    assert dirt.pane_of(dirty(*far), *SIZE).alpha.max() == 0


def test_dirt_is_out_of_focus() -> None:
    mark = Specks(60.0, 2.0, 0.3, 0.8, MUD)
    sharp, soft = (dirt.pane_of(dirty(mark, defocus=d), *SIZE).alpha for d in (0.0, 3.0))
    assert np.abs(np.diff(soft, axis=1)).max() < 0.5 * np.abs(np.diff(sharp, axis=1)).max()
    assert soft.mean() == pytest.approx(sharp.mean(), rel=0.15)  # as much dirt, spread wider


def test_dirt_stands_still() -> None:
    params = dirt.sample(rng(3), *SIZE)
    assert np.array_equal(dirt.apply(CLEAN, params, 0.0).image, dirt.apply(CLEAN, params, 9.0).image)


def test_most_draws_are_fit_to_train_on_as_eigen_chose() -> None:
    noise = rng().random((*SIZE, 3)).astype(np.float32)
    draws = [dirt.sample(rng(seed), *SIZE) for seed in range(12)]
    chosen = [masks.trains_dirt(noise, dirt.pane_of(draw, *SIZE).alpha) for draw in draws]
    assert sum(chosen) >= 9
    assert draws[0] == dirt.sample(rng(0), *SIZE) != draws[1]


def captures(glass: Pane, count: int, noise: float = 0.0, seed: int = 0) -> list[tuple[Picture, Picture]]:
    """Pictures of random backgrounds as a camera of 8 bits takes them, with `noise` of that many levels."""
    pairs = []
    draw = rng(seed)
    for _ in range(count):
        clean = draw.random((*glass.alpha.shape, 3)).astype(np.float32)
        pairs.append((clean, np.clip(before(clean, glass, (1.0, 1.0, 1.0)), 0, 1)))
    return [(camera(draw, clean, noise), camera(draw, seen, noise)) for clean, seen in pairs]


def camera(draw: np.random.Generator, picture: Picture, noise: float) -> Picture:
    levels = picture * 255 + draw.normal(0, 1, picture.shape) * noise
    return np.asarray(np.clip(levels.round(), 0, 255) / 255, np.float32)


@pytest.fixture(scope="module")
def glass() -> Pane:
    marks = (Specks(60.0, 3.0, 0.3, 1.0, (0.8, 0.7, 0.5)), Ring(32, 24, 14, 1.5, 0.9, MUD))
    return dirt.pane_of(dirty(*marks, defocus=1.0), *SIZE)


def test_alpha_and_its_light_are_found_to_a_hundredth_after_rounding_to_8_bits(glass: Pane) -> None:
    found = estimate(captures(glass, 6))
    assert np.abs(found.pane.alpha - glass.alpha).max() < 1e-2
    assert np.abs(found.pane.added - glass.added).max() < 1e-2
    assert found.residual.max() < 1 / 255


def test_noise_of_a_level_is_averaged_away_by_more_backgrounds(glass: Pane) -> None:
    found = estimate(captures(glass, 40, noise=1.0))
    assert np.abs(found.pane.alpha - glass.alpha).max() < 1e-2
    assert np.abs(found.pane.added - glass.added).max() < 1e-2
    assert found.backgrounds == 40


def test_two_plain_backgrounds_are_enough(glass: Pane) -> None:
    plain = [np.full((*SIZE, 3), level, np.float32) for level in (0.0, 1.0)]
    found = estimate((clean, before(clean, glass, (1.0, 1.0, 1.0))) for clean in plain)
    assert np.abs(found.pane.alpha - glass.alpha).max() < 1e-5
    assert np.abs(found.pane.added - glass.added).max() < 1e-5


def test_pixels_whose_backgrounds_are_the_same_are_told(glass: Pane) -> None:
    pairs = captures(glass, 4)
    for pair in pairs:
        for picture in pair:
            picture[5:7, 10:13] = 0.5
    with pytest.raises(DerainError, match=r"the same at 6 of 3072 pixels, first at column 10, row 5.*bright"):
        estimate(pairs)


def test_one_background_is_too_few(glass: Pane) -> None:
    with pytest.raises(DerainError, match="over two backgrounds or more, not 1"):
        estimate(captures(glass, 1))
    with pytest.raises(DerainError, match="not 0"):
        estimate([])


def test_pictures_of_different_sizes_are_told(glass: Pane) -> None:
    clean, seen = captures(glass, 1)[0]
    with pytest.raises(DerainError, match="a picture of 64x40 pixels is no view of a pane of 64x48"):
        estimate([(clean, seen), (clean, seen[:40])])


def write(folder: Path, name: str, picture: Picture) -> None:
    folder.mkdir(exist_ok=True)
    pixels: npt.NDArray[np.uint8] = (picture[..., ::-1] * 255).round().astype(np.uint8)
    (folder / name).write_bytes(cv2.imencode(Path(name).suffix, pixels)[1].tobytes())


@pytest.fixture
def folders(tmp_path: Path, glass: Pane) -> tuple[Path, Path]:
    for number, (clean, seen) in enumerate(captures(glass, 5)):
        write(tmp_path / "without", f"{number}.png", clean)
        write(tmp_path / "with", f"{number}.png", seen)
    return tmp_path / "without", tmp_path / "with"


def test_the_command_measures_a_pane_that_dirt_can_be_drawn_from(
    folders: tuple[Path, Path], tmp_path: Path, glass: Pane, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pane"
    assert run(["dirt", *map(str, folders), str(output)]) == 0
    assert "5 backgrounds, dirt (alpha of 0.03 and more) on" in capsys.readouterr().out
    assert sorted(path.name for path in output.iterdir()) == ["alpha.png", "alphaD.png", "dirt.json"]
    told = json.loads((output / "dirt.json").read_text())
    assert (told["width"], told["height"], len(told["backgrounds"])) == (64, 48, 5)
    assert told["residual"] < 1 / 255
    assert np.abs(pane.read_pane(output).alpha - glass.alpha).max() < 1e-2
    params = dirt.sample(rng(), *SIZE, output)
    assert params.captured is not None
    assert params.captured.sha256 == told["sha256"] == pane.digest(output)
    whole = dirt.pane_of(replace(params, captured=replace(params.captured, left=0, top=0)), *SIZE)
    assert np.abs(whole.added - glass.added).max() < 1e-2
    assert dirt.apply(CLEAN, params).mask.any()


def test_a_measured_pane_goes_on_mirrored(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(["dirt", *map(str, folders), str(tmp_path / "pane")]) == 0
    params = dirt.sample(rng(), *SIZE, tmp_path / "pane")
    assert params.captured is not None
    wide = dirt.pane_of(replace(params, captured=replace(params.captured, left=60, top=0)), 48, 12)
    assert np.array_equal(wide.alpha[:, 3], wide.alpha[:, 4])
    assert np.array_equal(wide.alpha[:, 0], wide.alpha[:, 7])


def test_another_pane_in_the_same_place_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "pane"
    assert run(["dirt", *map(str, folders), str(output)]) == 0
    params = dirt.sample(rng(), *SIZE, output)
    pane.write_pane(output, Pane(np.zeros(SIZE, np.float32), np.zeros((*SIZE, 3), np.float32)))
    with pytest.raises(DerainError, match="is another one: its sha256 is"):
        dirt.apply(CLEAN, params)


def test_a_folder_that_holds_no_pane_is_told(tmp_path: Path) -> None:
    with pytest.raises(DerainError, match=r"alpha\.png of a dirty pane can't be read: no such file"):
        dirt.sample(rng(), *SIZE, tmp_path)
    for name in ("alpha.png", "alphaD.png"):
        write(tmp_path, name, CLEAN)
    with pytest.raises(DerainError, match=r"holds no pane: alpha\.png is 16-bit grey"):
        dirt.sample(rng(), *SIZE, tmp_path)


def test_what_can_not_be_measured_is_one_sentence_and_leaves_nothing(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without, with_pane = map(str, folders)
    output = str(tmp_path / "pane")
    assert run(["dirt", without, str(tmp_path / "none"), output]) == 2
    assert run(["dirt", without, with_pane, without]) == 2
    (folders[1] / "4.png").rename(folders[1] / "five.png")
    assert run(["dirt", without, with_pane, output]) == 2
    (folders[1] / "five.png").unlink()
    (folders[0] / "4.png").unlink()
    write(folders[1], "3.png", CLEAN[:40])
    assert run(["dirt", without, with_pane, output]) == 2
    write(folders[1], "3.jpg", CLEAN)
    assert run(["dirt", without, with_pane, output]) == 2
    told = capsys.readouterr().err.splitlines()
    words = ["none is not a folder", "exists; name a new folder", "only: 4, five", "64x40", "which is the"]
    assert len(told) == 5
    assert all(word in line for word, line in zip(words, told, strict=True))
    assert not (tmp_path / "pane").exists()
    assert not list(tmp_path.glob(".pane*"))


def test_captures_that_do_not_fit_the_model_are_warned_of(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folders[1], "2.png", rng(9).random((*SIZE, 3)).astype(np.float32))
    assert run(["dirt", *map(str, folders), str(tmp_path / "pane")]) == 0
    assert "did camera, background or exposure change" in capsys.readouterr().err
