"""Several frames in flight give what one after another gives, in order, whatever happens meanwhile."""

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from fake_engine import FakeEngine
from fakes import FakeSink, FakeSource
from flying_engine import FlyingEngine

from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import DerainError
from derain.engines.registry import open_engine
from derain.pipeline.bypass import SETTLE, Bypass, Watch
from derain.pipeline.restore import Restorer
from derain.pipeline.runner import Output, run
from derain.pipeline.speeds import TIMED, measure


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Takes red and green for rain and halves every value; sizes are multiples of 2."""
    path = onnx_models.mapped(tmp_path_factory.mktemp("models"), kernel=1)
    with open_engine(path, EngineOptions("onnxruntime", threads=1, scores=True)) as engine:
        yield engine


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def noise(count: int, height: int = 16, width: int = 24) -> list[Pixels]:
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8))


def fly(restorer: Restorer | Bypass, frames: Sequence[Pixels], depth: int = 3) -> list[Pixels]:
    """As the runner does it."""
    flying, given = [], []
    for frame in frames:
        flying.append(restorer.start(frame))
        if len(flying) == depth:
            given.append(flying.pop(0).wait())
    return given + [ticket.wait() for ticket in flying]


def same(one: Sequence[Pixels], other: Sequence[Pixels]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("strength", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("size", [(16, 24), (15, 23)])
def test_frames_in_flight_equal_those_one_by_one(
    judging: Engine, size: tuple[int, int], strength: float
) -> None:
    engine = FlyingEngine(judging)
    frames = noise(7, *size)
    alone = Restorer(judging, strength=strength)
    together = Restorer(engine, strength=strength)
    assert together.in_flight == 3
    assert same(fly(together, frames), [alone(frame) for frame in frames])
    assert engine.peak == (3 if strength else 0)


def test_scores_are_of_the_frame_that_was_waited_for(judging: Engine) -> None:
    restorer, alone = Restorer(FlyingEngine(judging)), Restorer(judging)
    frames = noise(3)
    tickets = [restorer.start(frame) for frame in frames]
    for ticket, frame in zip(tickets, frames, strict=True):
        ticket.wait()
        alone(frame)
        assert restorer.scores is not None and alone.scores is not None
        assert np.array_equal(restorer.scores, alone.scores)


@pytest.mark.parametrize("late", [False, True])
def test_memory_that_runs_short_in_flight_costs_no_frame(late: bool) -> None:
    """Three frames are in flight when the second is found too large: tiles are halved once, not thrice."""
    engine = FlyingEngine(FakeEngine(), late=late)
    restorer, frames = Restorer(engine), noise(6, 64, 64)
    given = fly(restorer, frames[:1])
    engine.most = 40
    given += fly(restorer, frames[1:])
    assert same(given, [255 - frame for frame in frames])
    assert restorer.plan is not None and restorer.plan.read_shape == (32, 32)


def test_engines_that_take_one_at_a_time_and_recurrent_ones_are_not_flown(tmp_path: Path) -> None:
    assert Restorer(FakeEngine()).in_flight == 1
    path = onnx_models.recurrent(tmp_path)
    with open_engine(path, EngineOptions("onnxruntime", threads=1)) as recurrent:
        flying = FlyingEngine(recurrent)
        restorer, alone = Restorer(flying, sequence=True), Restorer(recurrent, sequence=True)
        frames = noise(4)
        assert restorer.in_flight == 1
        assert same(fly(restorer, frames), [alone(frame) for frame in frames])
        assert flying.begun == 0


DRY, RED = (0, 0, 200), (200, 0, 200)


def shots(*parts: tuple[Sequence[int], int]) -> list[Pixels]:
    return [np.full((16, 24, 3), colour, np.uint8) for colour, count in parts for _ in range(count)]


@pytest.mark.parametrize("active", [True, False])
def test_the_bypass_judges_frames_in_flight_as_it_does_those_one_by_one(
    judging: Engine, active: bool
) -> None:
    """Through stretches just too short to be skipped, and long enough, with their fading in and out."""
    film = shots((RED, 5), (DRY, SETTLE - 1), (RED, 4), (DRY, 3 * SETTLE), (RED, 9), (DRY, SETTLE), (RED, 2))
    engine, watch = FlyingEngine(judging), Watch(active, None, "")
    one = Bypass(Restorer(judging, sequence=True), watch, Fraction(10))
    other = Bypass(Restorer(engine, sequence=True), watch, Fraction(10))
    assert same(fly(other, film), [one(frame) for frame in film])
    assert other.rain == one.rain
    assert engine.peak == 3 and engine.begun > len(film) / 4


def test_a_cut_finds_no_frame_in_flight(judging: Engine) -> None:
    engine = FlyingEngine(judging)
    bypass = Bypass(Restorer(engine, sequence=True), Watch(True, None, ""))
    tickets = [bypass.start(frame) for frame in shots((RED, 3))]
    bypass.reset()
    assert not engine.flying and bypass.rain.frames == 3
    assert [int(ticket.wait()[0, 0, 0]) for ticket in tickets] == [100] * 3


def test_a_run_keeps_frames_in_flight_and_in_order() -> None:
    engine, sink = FlyingEngine(FakeEngine()), FakeSink()
    full = threading.Event()

    def hold(number: int) -> None:
        full.wait(5 if number == 1 else 0)  # until decoding has run ahead

    engine.before = hold
    source = FakeSource(50, lambda number: full.set() if number == 5 else None)
    report = run(source, Restorer(engine, sequence=True), [Output(sink)])
    assert [int(frame.pixels[0, 0, 0]) for frame in sink.frames] == [255 - n for n in range(50)]
    assert [frame.pts for frame in sink.frames] == [40 * n for n in range(50)]
    assert engine.begun == 50 and engine.peak > 1
    assert report.stages["restore"].frames == 50


def test_a_live_frame_does_not_wait_for_the_next() -> None:
    """Each frame is decoded only once the one before is written."""
    written = threading.Semaphore(1)

    def before(number: int) -> None:
        assert written.acquire(timeout=5), "the frame before was held back"

    sink = FakeSink(lambda number: written.release())
    run(FakeSource(5, before), Restorer(FlyingEngine(FakeEngine())), [Output(sink)])
    assert len(sink.frames) == 5


def test_the_speed_of_such_an_engine_is_that_of_frames_in_flight() -> None:
    engine = FlyingEngine(FakeEngine())
    measure(Restorer(engine), noise(1)[0], 1e9)
    assert engine.peak == 3 and engine.begun == TIMED + 6 and not engine.flying


def failing(number: int) -> Callable[[int], None]:
    def before(flown: int) -> None:
        if flown == number:
            raise DerainError("the device is gone")

    return before


def test_a_failure_in_flight_ends_the_run_with_nothing_published() -> None:
    engine, sink = FlyingEngine(FakeEngine()), FakeSink()
    engine.before = failing(4)
    with pytest.raises(DerainError, match="the device is gone"):
        run(FakeSource(50), Restorer(engine), [Output(sink)])
    assert sink.state == "discarded"
    engine.close()


def test_a_run_that_is_called_off_leaves_its_frames_in_flight_to_the_engine() -> None:
    engine = FlyingEngine(FakeEngine())

    def full_disk(number: int) -> None:
        if number == 3:
            raise DerainError("the disk is full")

    with pytest.raises(DerainError, match="the disk is full"):
        run(FakeSource(50), Restorer(engine), [Output(FakeSink(full_disk))])
    left = list(engine.flying)
    engine.close()
    for flown in left:
        with pytest.raises(DerainError, match="closed while this was in flight"):
            flown.wait()
