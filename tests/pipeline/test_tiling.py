"""Tiled equals whole: property tests with small random networks, every border, every size from 1x1."""

from functools import cache
from itertools import product
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnx_models
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derain.engines.card import ModelCard
from derain.engines.edges import with_pixel_edges
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model
from derain.pipeline.tiling import TilePlan, smallest_tile

NETWORKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("conv", {"kernel": 1}),
    ("conv", {"kernel": 3, "layers": 2}),
    ("conv", {"kernel": 7, "multiple_of": 3}),
    ("unshuffle", {"factor": 2}),
    ("unshuffle", {"factor": 4, "layers": 3}),
)


@cache
def network(index: int) -> tuple[onnxruntime.InferenceSession, ModelCard]:
    maker, facts = NETWORKS[index]
    path = getattr(onnx_models, maker)(Path(mkdtemp()), **facts)
    file = open_model(path)
    session = onnxruntime.InferenceSession(with_pixel_edges(file, EngineOptions()).SerializeToString())
    return session, file.card


def infer(session: onnxruntime.InferenceSession, pixels: Pixels) -> Pixels:
    result: Pixels = session.run(None, {session.get_inputs()[0].name: pixels[np.newaxis]})[0][0]
    return result


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def restore(session: onnxruntime.InferenceSession, plan: TilePlan, frame: Pixels) -> Pixels:
    return plan.stitch(infer(session, tile) for tile in plan.split(frame))


@settings(deadline=None, max_examples=150)
@given(
    index=st.integers(0, len(NETWORKS) - 1),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    extra=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    seed=st.integers(0, 3),
)
def test_tiled_equals_whole(index: int, height: int, width: int, extra: tuple[int, int], seed: int) -> None:
    session, card = network(index)
    smallest = smallest_tile(card.halo, card.multiple_of)
    frame = noise(height, width, seed)
    whole = TilePlan.make(height, width, card.halo, card.multiple_of)
    tiled = TilePlan.make(
        height, width, card.halo, card.multiple_of, (smallest + extra[0], smallest + extra[1])
    )
    difference = restore(session, whole, frame).astype(int) - restore(session, tiled, frame)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("index", [3, 4])
def test_sizes_1_to_17_over_a_multiple_come_back_in_their_size(index: int) -> None:
    session, card = network(index)
    tile = smallest_tile(card.halo, card.multiple_of)
    for over in range(1, 18):
        size = 8 * card.multiple_of + over
        frame = noise(size, over)
        whole = restore(session, TilePlan.make(size, over, card.halo, card.multiple_of), frame)
        tiled = restore(session, TilePlan.make(size, over, card.halo, card.multiple_of, (tile, tile)), frame)
        assert whole.shape == tiled.shape == frame.shape
        assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_a_halo_too_small_shows_so_the_comparison_means_something() -> None:
    session, card = network(1)
    frame = noise(40, 40)
    whole = restore(session, TilePlan.make(40, 40, card.halo, 1), frame)
    seamed = restore(session, TilePlan.make(40, 40, 0, 1, (16, 16)), frame)
    assert np.abs(whole.astype(int) - seamed).max() > 1


def test_an_unaligned_halo_is_rounded_up_to_the_phase_of_the_network() -> None:
    plan = TilePlan.make(200, 200, halo=11, multiple_of=4, tile=(50, 51))
    assert plan.read_shape == (48, 48)
    assert all(tile.top % 4 == 0 and tile.left % 4 == 0 for tile in plan.tiles)


@settings(deadline=None, max_examples=300)
@given(
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    halo=st.integers(0, 9),
    multiple_of=st.sampled_from([1, 2, 3, 4, 8, 16]),
    extra=st.integers(0, 40),
)
def test_cores_partition_the_frame_and_keep_their_halo(
    size: tuple[int, int], halo: int, multiple_of: int, extra: int
) -> None:
    side = smallest_tile(halo, multiple_of) + extra
    plan = TilePlan.make(*size, halo, multiple_of, (side, side))
    covered = np.zeros(size, int)
    for tile in plan.tiles:
        covered[tile.keep_top : tile.keep_bottom, tile.keep_left : tile.keep_right] += 1
    assert (covered == 1).all()
    padded = [len(plan.rows), len(plan.columns)]
    for tile in plan.tiles:
        starts, ends = (tile.top, tile.left), (tile.keep_bottom, tile.keep_right)
        begins = (tile.keep_top, tile.keep_left)
        for start, begin, end, read, whole in zip(starts, begins, ends, plan.read_shape, padded, strict=True):
            assert start % multiple_of == 0
            assert start + read <= whole
            assert start == 0 or begin - start >= halo
            assert start + read == whole or start + read - end >= halo


def test_padding_reflects_and_goes_to_and_fro_in_tiny_frames() -> None:
    frame = noise(3, 1)
    (read,) = TilePlan.make(3, 1, 0, 8).split(frame)
    assert read.shape == (8, 8, 3)
    assert np.array_equal(read[:, 0], frame[[0, 1, 2, 1, 0, 1, 2, 1], 0])
    assert np.array_equal(read[:, 7], read[:, 0])


def test_a_frame_of_the_right_size_needs_no_copy() -> None:
    assert TilePlan.make(720, 1280, 40, 16).aligned
    assert not TilePlan.make(718, 1280, 40, 16).aligned
    assert not TilePlan.make(720, 1280, 40, 16, (256, 256)).aligned


def test_sixteen_bit_pixels_keep_their_values() -> None:
    frame = np.random.default_rng(0).integers(0, 65536, (37, 21, 3), np.uint16)
    plan = TilePlan.make(37, 21, 2, 4, (12, 16))
    assert np.array_equal(plan.stitch(plan.split(frame)), frame)


def test_a_tile_without_room_for_its_halo_is_refused() -> None:
    with pytest.raises(UsageError, match="the smallest side is 10"):
        TilePlan.make(100, 100, 3, 2, (12, 9))


def test_tiles_around_a_single_pixel() -> None:
    for height, width in product((1, 2, 33), repeat=2):
        frame = noise(height, width)
        plan = TilePlan.make(height, width, 3, 2, (10, 10))
        assert np.array_equal(plan.stitch(plan.split(frame)), frame)
