"""The restorer: sizes, tiles, memory, strength; and that a frame of the right size is not copied."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_models
import pytest
from fake_engine import FakeEngine, invert

from derain.engines.card import ModelCard, Tiling
from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.restore import (
    Restorer,
    attention_of,
    automatic_side,
    check_strength,
    parse_tile,
    rgb_of,
)

GIB = 1 << 30


def card(**facts: Any) -> ModelCard:
    return replace(onnx_models.CARD, **facts)


def noise(height: int, width: int, dtype: type[np.unsignedinteger[Any]] = np.uint8) -> Pixels:
    peak = int(np.iinfo(dtype).max)
    return np.random.default_rng(0).integers(0, peak + 1, (height, width, 3), dtype)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 5), (32, 48)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_and_both_depths_come_back(size: tuple[int, int], dtype: Any) -> None:
    pixels = noise(*size, dtype)
    restored = Restorer(FakeEngine(card(multiple_of=16)))(pixels)
    assert restored.dtype == dtype
    assert np.array_equal(restored, invert(pixels))


def test_the_engine_gets_multiples_only() -> None:
    engine = FakeEngine(card(multiple_of=16))
    Restorer(engine)(noise(17, 31))
    assert engine.shapes == [(1, 32, 32, 3)]


def test_an_aligned_frame_reaches_the_engine_and_comes_back_without_a_copy() -> None:
    engine = FakeEngine(card(multiple_of=16, halo=40))
    pixels, out = noise(720, 1280), np.empty((720, 1280, 3), np.uint8)
    assert Restorer(engine)(pixels, out) is out
    assert np.shares_memory(engine.batches[0], pixels)


def test_plan_and_buffers_are_kept_from_frame_to_frame() -> None:
    engine = FakeEngine(card(multiple_of=16))
    restorer = Restorer(engine)
    restorer(noise(30, 30))
    plan = restorer.plan
    restorer(noise(30, 30))
    assert restorer.plan is plan
    assert np.shares_memory(engine.batches[0], engine.batches[1])


def test_results_of_two_frames_are_two_arrays() -> None:
    restorer = Restorer(FakeEngine(card(multiple_of=16)))
    first = restorer(noise(30, 30))
    assert not np.shares_memory(first, restorer(noise(30, 30)))


def test_frames_that_are_not_contiguous_just_work() -> None:
    restorer = Restorer(FakeEngine(card(multiple_of=2)))
    whole = noise(32, 32)
    restorer(whole)
    for view in (whole[::2, ::2], whole[:, ::-1], whole.transpose(1, 0, 2), whole):
        assert np.array_equal(restorer(view), invert(np.ascontiguousarray(view)))


def test_tiles_have_one_shape_and_give_the_whole_frame() -> None:
    engine = FakeEngine(card(multiple_of=4, halo=6))
    pixels = noise(101, 67)
    assert np.array_equal(Restorer(engine, tile=40)(pixels), invert(pixels))
    assert set(engine.shapes) == {(1, 40, 40, 3)}
    assert len(engine.shapes) > 4


def test_tiles_go_to_the_engine_in_batches_of_one_shape() -> None:
    engine = FakeEngine(card(halo=2))
    pixels = noise(50, 40)
    assert np.array_equal(Restorer(engine, tile=16, batch=5)(pixels), invert(pixels))
    assert set(engine.shapes) == {(5, 16, 16, 3)}
    assert len(engine.shapes) == 3


@pytest.mark.parametrize(("strength", "value"), [(0.0, 100), (0.25, 114), (0.5, 128), (1.0, 155)])
def test_strength_blends_rainy_and_restored(strength: float, value: int) -> None:
    pixels = np.full((4, 4, 3), 100, np.uint8)
    restored = Restorer(FakeEngine(), strength=strength)(pixels)
    assert np.abs(restored.astype(int) - value).max() <= 1


def test_strength_blends_sixteen_bits() -> None:
    pixels = np.full((4, 4, 3), 1000, np.uint16)
    assert Restorer(FakeEngine(), strength=0.5)(pixels)[0, 0, 0] in (32767, 32768)


def test_no_strength_needs_no_engine() -> None:
    engine = FakeEngine()
    pixels = noise(8, 8)
    restored = Restorer(engine, strength=0)(pixels)
    assert np.array_equal(restored, pixels) and not np.shares_memory(restored, pixels)
    assert not engine.batches


def test_short_memory_makes_smaller_tiles_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine(card(halo=2), most=20 * 20)
    restorer = Restorer(engine)
    pixels = noise(64, 48)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(restorer(pixels), invert(pixels))
    assert set(engine.shapes) == {(1, 16, 16, 3)}
    assert "the memory ran short: going on with tiles of 32 pixels instead of 64" in caplog.text
    caplog.clear()
    restorer(noise(40, 40))
    assert "ran short" not in caplog.text


@pytest.mark.parametrize(
    ("tile", "facts", "words"),
    [
        ("none", {}, "--tile auto needs less"),
        ("auto", {"tiling": Tiling.WHOLE_FRAME}, "64 pixels a side at once"),
        ("auto", {"halo": 20}, "41 pixels a side at once"),
    ],
)
def test_memory_too_short_for_any_tile_is_an_error(tile: Any, facts: dict[str, Any], words: str) -> None:
    restorer = Restorer(FakeEngine(card(**({"halo": 2} | facts)), most=10), tile=tile)
    with pytest.raises(DerainError, match=words):
        restorer(noise(64, 48))


@pytest.mark.parametrize(
    ("tile", "facts", "words"),
    [
        (20, {"halo": 10, "multiple_of": 4}, "too small for test; the smallest is 28"),
        (512, {"tiling": Tiling.WHOLE_FRAME}, "test restores whole frames only, not tiles of 512"),
        ("big", {}, "takes auto, none or a number"),
    ],
)
def test_impossible_tiles_are_refused_before_work(tile: Any, facts: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Restorer(FakeEngine(card(**facts)), tile=tile)


def test_approximate_networks_are_tiled_and_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Restorer(FakeEngine(card(tiling=Tiling.APPROXIMATE)), tile=16)(noise(40, 40))
    assert "test restores 40x40 in 9 tiles of 16x16, nearly as it would restore it whole" in caplog.text


def test_automatic_tiles_follow_the_free_memory() -> None:
    small = card(halo=40, multiple_of=16)
    assert automatic_side(720, 1280, small, 4 * GIB) is None
    assert automatic_side(2160, 3840, small, 16 * GIB) is None
    assert automatic_side(9000, 12000, small, 64 * GIB) == 1024
    assert automatic_side(2160, 3840, small, GIB // 4) == 724
    assert automatic_side(720, 1280, small, 1) == 2 * 48 + 16
    assert automatic_side(9000, 12000, card(tiling=Tiling.WHOLE_FRAME), GIB) is None


def attend(batch: Pixels) -> Pixels:
    """Inverted, and red as the attention map."""
    return np.concatenate([invert(batch), batch[..., :1]], axis=3)


@pytest.mark.parametrize("size", [(1, 1), (33, 18), (48, 64)])
@pytest.mark.parametrize("tile", ["none", 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_attention_map_comes_with_the_colours(size: tuple[int, int], tile: Any, dtype: Any) -> None:
    engine = FakeEngine(card(multiple_of=4, halo=3), attend, channels=4)
    pixels = noise(*size, dtype)
    restored = Restorer(engine, tile=tile, batch=2)(pixels)
    assert np.array_equal(rgb_of(restored), invert(pixels))
    assert np.array_equal(attention_of(restored), pixels[..., 0])
    assert rgb_of(restored).flags.c_contiguous and attention_of(restored).flags.c_contiguous


@pytest.mark.parametrize(("strength", "value"), [(0.0, 100), (0.5, 128)])
def test_strength_leaves_the_attention_map_alone(strength: float, value: int) -> None:
    pixels = np.full((4, 4, 3), 100, np.uint8)
    restored = Restorer(FakeEngine(function=attend, channels=4), strength=strength)(pixels)
    assert np.abs(rgb_of(restored).astype(int) - value).max() <= 1
    assert (attention_of(restored) == 100).all()


def test_colours_without_a_map_are_not_copied() -> None:
    restored = Restorer(FakeEngine())(noise(8, 8))
    assert rgb_of(restored) is restored


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(UsageError, match="a number from 0 to 1"):
        check_strength(strength)


def test_restoring_in_place_is_refused() -> None:
    pixels = noise(8, 8)
    with pytest.raises(UsageError, match="its own memory"):
        Restorer(FakeEngine())(pixels, pixels)


def test_what_users_write_for_tiles() -> None:
    assert [parse_tile(text) for text in ("auto", "none", "256")] == ["auto", "none", 256]
    with pytest.raises(UsageError, match="the tile is '-3'"):
        parse_tile("-3")
