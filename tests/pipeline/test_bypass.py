"""Frames and tiles without rain skip the network, judged by it and by the glance; rain waits for neither.

The network of these tests takes red and green for rain and halves every value, also where it is dry; the
glance sees red only.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_models
import pytest

from derain.engines.card import read_card
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.registry import open_engine
from derain.pipeline.bypass import FADE, SETTLE, Bypass, Watch, faded
from derain.pipeline.glance import Glance, Lessons, shipped_glance
from derain.pipeline.restore import Restorer
from derain.pipeline.tiling import TilePlan

OPTIONS = EngineOptions("onnxruntime", threads=1, scores=True)
DRY, RED, GREEN = (0, 0, 200), (200, 0, 200), (0, 200, 200)
SLOW = Fraction(10)
"""Frames a second: without a glance every fifth of a skipped stretch is looked at, with one every 20th."""
GLANCES = 20


class Counting:
    """An engine that counts the frames or tiles it gets."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.count = engine, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, batch: Pixels, *rest: Any) -> Pixels:
        self.count += len(batch)
        return self._engine.infer(batch, *rest)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    onnx_models.mapped(folder, kernel=1)
    onnx_models.glance(folder)
    onnx_models.recurrent(folder, attention=True)
    return folder


@pytest.fixture(scope="module")
def opened(models: Path) -> Iterator[Engine]:
    with open_engine(models / "mapped.onnx", OPTIONS) as engine:
        yield engine


@pytest.fixture
def engine(opened: Engine) -> Counting:
    return Counting(opened)


@pytest.fixture(scope="module")
def glance(models: Path) -> Iterator[Glance]:
    with open_engine(models / "glance.onnx", OPTIONS) as engine:
        yield Glance(engine)


def frame(colour: Sequence[int], height: int = 64, width: int = 64) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def film(bypass: Bypass, *shots: tuple[Sequence[int], int]) -> list[float]:
    """Of each frame of the shots (colour, frames), how much of it is the network's picture, 0..1."""
    return [share(bypass(frame(colour)), colour) for colour, count in shots for _ in range(count)]


def share(given: Pixels, colour: Sequence[int]) -> float:
    """The network halves blue: what of that can be seen at (0, 0)."""
    assert (given == given[0, 0]).all()
    return (colour[2] - int(given[0, 0, 2])) / (colour[2] / 2)


def test_dry_frames_skip_the_network_and_come_out_as_they_came_in(engine: Counting, glance: Glance) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""), SLOW)
    skipped = GLANCES - 3
    seen = film(bypass, (RED, 3), (DRY, SETTLE + skipped), (RED, 2))
    assert seen[: 3 + SETTLE - FADE] == [1] * (3 + SETTLE - FADE)
    fading = seen[2 + SETTLE - FADE : 3 + SETTLE]
    assert fading == sorted(fading, reverse=True) and len(set(fading)) == FADE + 1 and fading[-1] == 0
    assert seen[3 + SETTLE : -2] == [0] * skipped
    assert seen[-2:] == [1, 1], "rain does not wait"
    assert engine.count == 3 + SETTLE + 2
    assert (bypass.rain.frames, bypass.rain.bypassed) == (len(seen), skipped)


def test_a_skipped_frame_is_the_frame_itself(engine: Counting, glance: Glance) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""))
    film(bypass, (DRY, SETTLE))
    noise = np.random.default_rng(0).integers(0, 24, (61, 45, 3), np.uint8)
    assert bypass(noise) is noise


def test_a_short_dry_stretch_changes_nothing(engine: Counting, glance: Glance) -> None:
    """Such as after a wiper's stroke."""
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""))
    seen = film(bypass, *[(RED, 1), (DRY, SETTLE - FADE)] * 4)
    assert seen == [1] * len(seen) and bypass.rain.bypassed == 0


def test_without_a_glance_the_network_looks_twice_a_second(engine: Counting) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, None, ""), SLOW)
    film(bypass, (DRY, SETTLE + 50))
    assert engine.count == SETTLE + 10
    assert film(bypass, (GREEN, 5)) == [0, 0, 0, 0, 1]


def test_where_the_glance_is_not_sure_the_network_has_the_last_word(engine: Counting, glance: Glance) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""), SLOW)
    film(bypass, (DRY, SETTLE))
    red_cell = frame(DRY)
    red_cell[:1, :1] = 255  # too little for the network: its cells are means
    engine.count = 0
    out = bypass(red_cell)
    assert engine.count == 1 and np.array_equal(out, red_cell)
    assert (bypass.rain.judge, bypass.rain.bypassed) == ("network", 0)
    assert film(bypass, (DRY, 3)) == [0, 0, 0] and engine.count == 1, "the stretch goes on"


def test_what_the_glance_is_blind_for_the_network_sees_before_long(engine: Counting, glance: Glance) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""), SLOW)
    film(bypass, (DRY, SETTLE))
    assert film(bypass, (GREEN, GLANCES + 3)) == [0] * (GLANCES - 1) + [1] * 4


def test_rain_is_restored_at_once_and_all_else_comes_back_over_some_frames(
    engine: Counting, glance: Glance
) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""))
    film(bypass, (DRY, SETTLE + 1))
    picture = frame(DRY, 64, 96)
    picture[:, 64:80] = RED
    seen = [bypass(picture) for _ in range(FADE + 1)]
    assert all((out[:, 64:80] == (100, 0, 100)).all() for out in seen)
    far = [int(out[0, 0, 2]) for out in seen]
    assert far == sorted(far, reverse=True) and far[-2:] == [100, 100] and far[0] > 180


def test_where_the_network_leaves_a_pixel_fading_leaves_it_too() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.uint8, np.uint16):
        rainy = rng.integers(0, np.iinfo(dtype).max, (16, 16, 3), dtype, endpoint=True)
        restored = rainy.copy()
        restored[:4] //= 2
        rain = np.zeros((16, 16), np.float32)
        rain[:2] = 1
        out = faded(rainy, restored, 0.37, rain)
        assert out.dtype == dtype
        assert np.array_equal(out[4:], rainy[4:]) and np.array_equal(out[:2], restored[:2])
        assert not np.array_equal(out[2:4], rainy[2:4])


def test_off_everything_is_restored_and_the_score_is_told(engine: Counting) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(False, None, "off"))
    assert film(bypass, (DRY, 3 * SETTLE), (RED, 1)) == [1] * (3 * SETTLE + 1)
    rain = bypass.rain
    assert rain.judge == "network" and rain.score == pytest.approx(200 / 255) and rain.bypassed == 0
    assert rain.greatest == rain.score and rain.mean == pytest.approx(200 / 255 / rain.frames)


def test_after_a_cut_all_is_judged_anew(engine: Counting, glance: Glance) -> None:
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""))
    film(bypass, (DRY, SETTLE + 5))
    bypass.reset()
    assert film(bypass, (DRY, SETTLE - FADE), (GREEN, 1)) == [1] * (SETTLE - FADE + 1)


def test_the_attention_map_of_a_skipped_frame_is_empty(models: Path) -> None:
    options = EngineOptions("onnxruntime", threads=1, scores=True, attention=True)
    with open_engine(models / "mapped.onnx", options) as engine:
        bypass = Bypass(Restorer(engine, sequence=True), Watch(True, None, ""))
        for _ in range(SETTLE + 1):
            out = bypass(frame(DRY))
    assert out.shape == (64, 64, 5)
    assert (out[..., :3] == DRY).all() and not out[..., 3:].any()


def test_a_recurrent_network_begins_anew_behind_a_skipped_stretch(models: Path, glance: Glance) -> None:
    grey, red = frame((0, 90, 90)), frame(RED)
    with open_engine(models / "recurrent.onnx", OPTIONS) as engine:
        bypass = Bypass(Restorer(engine, sequence=True), Watch(True, glance, ""))
        for _ in range(SETTLE + 3):
            bypass(grey)
        out = bypass(red)[:, :32], bypass(red)[:, :32]
        fresh = Restorer(engine, sequence=True)
        assert np.array_equal(out[0], fresh(red)[:, :32])
        assert np.array_equal(out[1], fresh(red)[:, :32])


def test_the_network_teaches_the_glance_what_is_dry_here(models: Path, engine: Counting) -> None:
    """One that sees rain everywhere would otherwise never let a frame pass."""
    onnx_models.glance(models, name="anxious", dry_below=0.0)
    with open_engine(models / "anxious.onnx", OPTIONS) as eye:
        bypass = Bypass(Restorer(engine, sequence=True), Watch(True, Glance(eye), ""))
        murky, wet = (20, 0, 200), (30, 0, 200)
        film(bypass, (murky, SETTLE + 20))
        assert bypass.rain.bypassed >= 15
        engine.count = 0
        assert film(bypass, (wet, 2)) == [1, 1] and engine.count == 2
        assert film(bypass, (murky, SETTLE)) and bypass.rain.bypassed


@pytest.mark.skipif(shipped_glance() is None, reason="no glance is shipped yet")
def test_the_shipped_glance_is_sound() -> None:
    path = shipped_glance()
    assert path is not None
    card = read_card(path)
    assert card.name == "glance" and card.licence and card.data and card.commit
    with open_engine(path, OPTIONS) as engine:
        noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
        cells = Glance(engine)(noise)
        assert cells.shape == (3, 3) and ((cells >= 0) & (cells <= 1)).all()
        assert np.array_equal(Restorer(engine)(noise), noise)


def test_a_flash_teaches_the_glance_little(glance: Glance) -> None:
    lessons = Lessons(glance)
    for level in (0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 1.0):
        lessons.learn(np.array([level]))
    assert lessons.are_dry(np.array([0.5])) and not lessons.are_dry(np.array([0.6]))
    assert not lessons.are_dry(np.array([np.nan]))
    lessons.learn(np.array([0.6]), dry=False)
    assert not lessons.are_dry(np.array([0.2])) and lessons.are_dry(np.array([glance.dry_below / 2]))


# Tiles


@pytest.fixture
def tiled(engine: Counting, glance: Glance) -> Bypass:
    """For pictures of 128x64 in tiles of 64 pixels a side."""
    restorer = Restorer(engine, 64, sequence=True)
    return Bypass(restorer, Watch(True, glance, ""), SLOW)


def wet_right(colour: Sequence[int] = RED) -> npt.NDArray[np.uint8]:
    """Dry but for its right end."""
    picture = frame(DRY, 64, 256)
    picture[:, 232:] = colour
    return picture


def test_tiles_without_rain_are_not_computed(engine: Counting, tiled: Bypass) -> None:
    seen = [tiled(wet_right()) for _ in range(GLANCES - 1)]
    tiles = len(tiled.rain.tile_scores)
    assert tiles > 3 and tiled.rain.tile_scores[0] == 0 and tiled.rain.tile_scores[-1] > 0.7
    assert (seen[SETTLE - 1] == wet_right() // 2).all()
    left = seen[SETTLE]
    assert np.array_equal(left[:, :100], wet_right()[:, :100])
    assert np.array_equal(left[:, 232:], wet_right()[:, 232:] // 2)
    assert tiled.rain.tiles == tiles * (GLANCES - 1)
    assert tiled.rain.skipped == tiled.rain.tiles - engine.count > 2 * (GLANCES - 1 - SETTLE)
    assert tiled.rain.bypassed == 0
    engine.count = 0
    tiled(wet_right())
    assert engine.count == tiles, "now and then the network looks at all of them"


def test_a_tile_that_the_network_finds_wet_is_computed_whatever_the_glance_says(
    engine: Counting, tiled: Bypass
) -> None:
    for _ in range(2 * SETTLE):
        out = tiled(wet_right(GREEN))
    assert tiled.rain.skipped and np.array_equal(out[:, 232:], wet_right(GREEN)[:, 232:] // 2)


def test_a_tile_is_computed_as_soon_as_the_glance_sees_rain_beside_it(tiled: Bypass) -> None:
    for _ in range(SETTLE + 1):
        tiled(wet_right())
    picture = wet_right()
    assert np.array_equal(tiled(picture)[:, :32], picture[:, :32])
    picture[:, 70:80] = RED  # the first tile keeps less than 64 columns
    assert np.array_equal(tiled(picture)[:, :96], picture[:, :96] // 2)


def test_batches_keep_one_shape_however_many_tiles_are_dry(opened: Engine) -> None:
    restorer = Restorer(opened, 64, batch=3)
    whole = restorer(wet_right())
    assert restorer.plan is not None and len(restorer.plan.tiles) > 4
    cores = [tile.core for tile in restorer.plan.tiles]
    for wet in range(len(cores) + 1):
        out = restorer(wet_right(), dry=partial(all_from, wet))
        computed = [np.array_equal(out[core], whole[core]) for core in cores]
        left = [np.array_equal(out[core], wet_right()[core]) for core in cores]
        assert all(computed[:wet]) and sum(left) == restorer.skipped == len(cores) - sum(computed)
        assert sum(computed) == (max(wet, 3) if wet else 0)


def all_from(first: int, plan: TilePlan) -> list[bool]:
    """All tiles but those before the `first`."""
    return [number >= first for number in range(len(plan.tiles))]


def test_a_network_that_remembers_computes_all_tiles(models: Path, glance: Glance) -> None:
    with open_engine(models / "recurrent.onnx", OPTIONS) as engine:
        bypass = Bypass(Restorer(engine, 32, sequence=True), Watch(True, glance, ""))
        for _ in range(SETTLE + 3):
            bypass(wet_right())
    assert bypass.rain.tiles and not bypass.rain.skipped
