"""Turns: who is restored when, with whom, and what is remembered."""

import threading
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from live_fakes import FakeCamera
from live_street import NO_WATCH, Street

from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import open_model
from derain.engines.onnxruntime import OnnxRuntimeEngine
from derain.pipeline.live.camera import Camera
from derain.pipeline.live.contract import Step, ladder
from derain.pipeline.live.scheduler import Scheduler
from derain.pipeline.live.workshop import Network, Workshop
from derain.pipeline.restore import Restorer


def cameras(count: int, size: tuple[int, int] = (32, 16)) -> list[FakeCamera]:
    return [FakeCamera(f"camera-{number}", size) for number in range(count)]


def test_the_newest_frame_is_restored_and_those_before_are_counted() -> None:
    run = Street(cameras(1), [25], lambda batch: 0.1)
    run.run(4)
    figures = run.cameras[0].figures()
    assert figures.restored + figures.dropped == pytest.approx(figures.decoded, abs=1)
    assert figures.restored_fps == pytest.approx(10, abs=0.5)
    assert figures.camera_fps == pytest.approx(25, abs=1)
    assert max(latency for _, latency in run.latencies("camera-0")) <= 0.1 + 1 / 25 + 1e-9


def test_a_fast_camera_does_not_take_the_turns_of_a_slow_one() -> None:
    run = Street([FakeCamera("fast", (32, 16)), FakeCamera("slow", (16, 16))], [60, 5], lambda batch: 0.05)
    run.run(10)
    slow = run.cameras[1].figures()
    assert slow.dropped <= 1 and slow.restored_fps == pytest.approx(5, abs=0.3)
    assert run.cameras[0].figures().restored_fps == pytest.approx(15, abs=1)


def test_a_dead_camera_slows_nobody() -> None:
    run = Street(cameras(2), [25, 0], lambda batch: 0.01)
    run.run(4)
    assert run.cameras[0].figures().restored_fps == pytest.approx(25, abs=0.5)
    assert run.cameras[1].figures().restored == 0


def test_frames_that_are_there_together_are_one_batch() -> None:
    run = Street(cameras(4), [25] * 4, lambda batch: 0.005)
    run.run(1)
    shapes = run.engines[0].shapes  # type: ignore[attr-defined]
    assert (4, 16, 32, 3) in shapes
    assert set(shapes) <= {(4, 16, 32, 3), (1, 16, 32, 3)}, "each shape is compiled for two numbers only"
    assert {shown.camera for shown in run.shown} == {f"camera-{number}" for number in range(4)}
    assert all(np.array_equal(shown.restored, 255 - shown.taken.frame.pixels) for shown in run.shown)


def test_frames_of_other_sizes_are_not() -> None:
    run = Street([FakeCamera("a", (32, 16)), FakeCamera("b", (16, 16))], [25, 25])
    run.run(1)
    assert {shape[0] for shape in run.engines[0].shapes} == {1}  # type: ignore[attr-defined]


def test_the_strength_of_one_camera_is_not_that_of_another() -> None:
    run = Street(cameras(2), [25, 25])
    run.cameras[1].set_strength(0.5)
    run.run(0.2)
    last = {shown.camera: int(shown.restored[0, 0, 0]) for shown in run.shown}
    assert last == {"camera-0": 215, "camera-1": 128}
    with pytest.raises(UsageError, match="it takes a number from 0 to 1"):
        run.cameras[0].set_strength(1.5)


def test_ten_bit_frames_are_shown_in_eight() -> None:
    run = Street(cameras(1), [0])
    taken = run.sources[0].frame(run.clock())
    taken.frame.pixels = np.full((16, 32, 3), 40 * 257, np.uint16)
    run.cameras[0].give(taken)
    assert run.scheduler.turn()
    assert run.shown[0].taken.frame.pixels.dtype == np.uint8
    assert int(run.shown[0].restored[0, 0, 0]) == 215


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_models.recurrent(tmp_path_factory.mktemp("models"))


def opened(path: Path) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(open_model(path), EngineOptions(threads=1))


def test_every_camera_has_a_memory_of_its_own(remembering: Path) -> None:
    """Batched or not, each gives what it gives alone."""
    with opened(remembering) as engine, opened(remembering) as other:
        run = Street(cameras(2), [0, 0], engines=[engine])
        alone = [Restorer(other, sequence=True) for _ in range(2)]
        for number in range(6):
            levels = [40 + 15 * number, 200 - 15 * number]
            for source, level in zip(run.sources, levels, strict=True):
                source.send(run.clock(), level)
            assert run.scheduler.turn()
            while run.scheduler.turn():
                pass
            run.clock.pass_(0.04)
            for shown, restorer in zip(run.shown[-2:], alone, strict=True):
                right = restorer(shown.taken.frame.pixels)
                assert np.abs(shown.restored.astype(int) - right.astype(int)).max() <= 1


@pytest.mark.parametrize("broken", ["epoch", "gap", "cut", "damage"])
def test_a_network_forgets_where_frames_do_not_follow(remembering: Path, broken: str) -> None:
    with opened(remembering) as engine, opened(remembering) as other:
        run = Street(cameras(1), [0], engines=[engine])
        (source,) = run.sources
        for number in range(3):
            source.send(run.clock() + 0.04 * number, 40, held=broken == "damage" and number == 2)
            assert run.scheduler.turn()
        later = run.clock() + (5.0 if broken == "gap" else 0.12)
        source.send(later, 220 if broken == "cut" else 40, epoch=int(broken == "epoch"))
        assert run.scheduler.turn()
        last = run.shown[-1]
        first = Restorer(other, sequence=True)(last.taken.frame.pixels)
        assert np.abs(last.restored.astype(int) - first.astype(int)).max() <= 1
        assert np.abs(run.shown[-2].restored.astype(int) - first.astype(int)).max() > 1, "memory shows"


def test_an_engine_that_fails_ends_the_thread_that_restores() -> None:
    def fail(batch: object) -> float:
        raise DerainError("the device is gone")

    run = Street(cameras(1), [25], fail)
    with pytest.raises(DerainError, match="the device is gone"):
        run.run(1)


def test_at_the_end_what_came_before_is_restored() -> None:
    run = Street(cameras(2), [0, 0])
    for source in run.sources:
        source.send(run.clock())
    run.scheduler.finish()
    run.scheduler.run()
    assert len(run.shown) == 2


def test_whoever_waits_for_frames_can_be_called_off() -> None:
    run = Street(cameras(1), [0])
    thread = threading.Thread(target=run.scheduler.run)
    thread.start()
    run.scheduler.cancel()
    thread.join(10)
    assert not thread.is_alive()


def test_a_step_to_another_network_and_scale_is_taken_between_two_frames(tmp_path: Path) -> None:
    steps = (Step(), Step(model=1, scale=0.5, words="smaller"))
    source = FakeCamera(size=(32, 16))
    with (
        opened(onnx_models.identity(tmp_path)) as large,
        opened(onnx_models.identity(tmp_path, "s")) as small,
    ):
        news = threading.Condition()
        camera = Camera(source, news)
        workshop = Workshop([Network(large, NO_WATCH), Network(small, NO_WATCH)], 1)
        camera.make = workshop.make
        source.start(camera.give)
        shown: list[object] = []
        scheduler = Scheduler([camera], workshop, shown.append, news, steps=steps)
        for step in steps:
            camera.move(step)
            source.send(0.0)
            assert scheduler.turn()
            assert camera.treatment.scale == step.scale
        assert [one.steps for one in shown] == ["", "smaller"]  # type: ignore[attr-defined]


def test_a_camera_that_comes_later_has_the_others_wait_for_one_size_only() -> None:
    """Engines compile for every size: at the beginning for those of all steps, later for what is wanted."""
    early, late = FakeCamera("early", (30, 12)), FakeCamera("late", (60, 24))
    run = Street([early, late], [25, 0], lambda batch: 0.001, budget=0.08, steps=ladder())
    run.run(2)
    engine = run.engines[0]
    assert {shape[2] for shape in engine.shapes} == {30, 20, 15, 10}  # type: ignore[attr-defined]
    late.send(run.clock())
    run.run(0.2)
    assert {shape[2] for shape in engine.shapes} == {30, 20, 15, 10, 60}  # type: ignore[attr-defined]
    assert not run.moves
