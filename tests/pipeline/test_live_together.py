"""One engine for many cameras."""

from pathlib import Path

import numpy as np
import onnx_models
import pytest
from fake_engine import FakeEngine
from flying_engine import FlyingEngine
from holding_engine import HoldingEngine

from derain.engines.engine import EngineOptions, Pixels
from derain.engines.errors import DerainError
from derain.engines.modelfile import open_model
from derain.engines.onnxruntime import OnnxRuntimeEngine
from derain.pipeline.live.together import MOST_PIXELS, Together
from derain.pipeline.restore import Restorer


def pictures(count: int, seed: int = 0) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (16, 24, 3), dtype=np.uint8) for _ in range(count)]


def opened(path: Path, scores: bool = False) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(open_model(path), EngineOptions(threads=1, scores=scores))


def test_what_is_begun_together_is_computed_together() -> None:
    engine = FakeEngine()
    restorers = [Restorer(Together(engine, 3)) for _ in range(3)]
    shared = Together(engine, 3)
    restorers = [Restorer(shared) for _ in range(3)]
    rainy = pictures(3)
    tickets = [restorer.start(picture) for restorer, picture in zip(restorers, rainy, strict=True)]
    assert engine.shapes == []
    for ticket, picture in zip(tickets, rainy, strict=True):
        assert np.array_equal(ticket.wait(), 255 - picture)
        assert ticket.wait() is ticket.wait()
    assert engine.shapes == [(3, 16, 24, 3)]


def test_sizes_are_kept_apart() -> None:
    engine = FakeEngine()
    shared = Together(engine, 3)
    large, small = pictures(1)[0], np.zeros((8, 8, 3), np.uint8)
    tickets = [Restorer(shared).start(picture) for picture in (large, small, large)]
    for ticket in tickets:
        ticket.wait()
    assert engine.shapes == [(2, 16, 24, 3), (1, 8, 8, 3)]


def test_where_the_memory_is_too_short_for_several_each_goes_alone() -> None:
    engine = FakeEngine(most=16 * 24)
    shared = Together(engine, 2)
    rainy = pictures(2)
    tickets = [Restorer(shared).start(picture) for picture in rainy]
    for ticket, picture in zip(tickets, rainy, strict=True):
        assert np.array_equal(ticket.wait(), 255 - picture)
    assert engine.shapes == [(1, 16, 24, 3)] * 2


def test_a_batch_that_fails_says_so_to_whoever_waits() -> None:
    def fail(batch: Pixels) -> Pixels:
        raise DerainError("the device is gone")

    shared = Together(FakeEngine(function=fail), 2)
    tickets = [Restorer(shared).start(picture) for picture in pictures(2)]
    with pytest.raises(DerainError, match="gone"):
        tickets[0].wait()


@pytest.mark.parametrize("held", [False, True])
def test_each_camera_has_its_states_and_scores(tmp_path: Path, held: bool) -> None:
    path = onnx_models.recurrent(tmp_path)
    with opened(path) as engine, opened(path) as other:
        shared = Together(HoldingEngine(engine) if held else engine, 2)
        restorers = [Restorer(shared, sequence=True) for _ in range(2)]
        alone = [Restorer(other, sequence=True) for _ in range(2)]
        for seed in range(4):
            rainy = pictures(2, seed)
            tickets = [one.start(picture) for one, picture in zip(restorers, rainy, strict=True)]
            given = [ticket.wait() for ticket in tickets]
            for one, picture, right in zip(alone, rainy, given, strict=True):
                assert np.abs(one(picture).astype(int) - right.astype(int)).max() <= 1
        restorers[0].reset()
        alone[0].reset()
        again = [one.start(pictures(1)[0]).wait() for one in restorers]
        for one, right in zip(alone, again, strict=True):
            assert np.abs(one(pictures(1)[0]).astype(int) - right.astype(int)).max() <= 1


def test_scores_are_those_of_each_frame(tmp_path: Path) -> None:
    path = onnx_models.mapped(tmp_path, kernel=1)
    with opened(path, scores=True) as engine:
        shared = Together(engine, 2)
        restorers = [Restorer(shared) for _ in range(2)]
        rainy = [np.zeros((16, 24, 3), np.uint8), np.full((16, 24, 3), 255, np.uint8)]
        for ticket in [one.start(picture) for one, picture in zip(restorers, rainy, strict=True)]:
            ticket.wait()
        scores = [restorer.scores for restorer in restorers]
        for picture, score in zip(rainy, scores, strict=True):
            one = Restorer(engine)
            one(picture)
            assert score is not None and one.scores is not None
            assert np.allclose(score, one.scores)
        assert scores[0] is not None and scores[1] is not None and not np.allclose(scores[0], scores[1])


def test_an_engine_that_overlaps_batches_gets_them_as_they_come() -> None:
    engine = FlyingEngine(FakeEngine())
    shared = Together(engine, 8)
    assert shared.in_flight == 3
    assert shared.together(100, 8) == (3, 2, 1)
    tickets = [Restorer(shared).start(picture) for picture in pictures(3)]
    assert engine.begun == 3
    for ticket in tickets:
        ticket.wait()


def test_how_many_go_together_hangs_on_their_size_and_number() -> None:
    shared = Together(FakeEngine(), 8)
    assert shared.together(640 * 360, 6) == (4, 1)
    assert shared.together(640 * 360, 3) == (2, 1)
    assert shared.together(640 * 360, 1) == (1,)
    assert shared.together(MOST_PIXELS, 8) == (1,)


def test_another_engine_takes_over_with_what_is_remembered(tmp_path: Path) -> None:
    path = onnx_models.recurrent(tmp_path)
    with opened(path) as first, opened(path) as second, opened(path) as third:
        shared = Together(first, 1)
        restorer, alone = Restorer(shared, sequence=True), Restorer(third, sequence=True)
        for number, picture in enumerate(pictures(4)):
            if number == 2:
                shared.take(HoldingEngine(second))
                restorer.exchange(shared)
            given = restorer.start(picture).wait()
            assert np.abs(alone(picture).astype(int) - given.astype(int)).max() <= 1
