"""Which networks a live run opens, which take over, and what skips them."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import far_backend
import numpy as np
import onnx_models
import pytest
from live_fakes import FakeCamera
from live_run import Run
from live_street import Street

from derain.engines import models
from derain.engines.engine import EngineOptions
from derain.engines.modelfile import open_model
from derain.engines.onnxruntime import OnnxRuntimeEngine
from derain.pipeline.bypass import SETTLE
from derain.pipeline.live.contract import Step
from derain.pipeline.live.networks import USUAL, open_networks, pace_for
from derain.pipeline.restore import Restorer
from derain.pipeline.source import StreamInfo

CPU = EngineOptions(backend="onnxruntime", threads=1)


@dataclass
class Cameras:
    """What is known of some."""

    told: Sequence[StreamInfo] = ()
    count: int = 1
    max_latency: float | None = None
    asked: list[bool] = field(default_factory=list)

    def infos(self) -> Sequence[StreamInfo]:
        self.asked.append(True)
        return self.told


def stream(width: int, height: int, rate: int | None) -> StreamInfo:
    average = None if rate is None else Fraction(rate)
    return StreamInfo(width, height, Fraction(1, 90000), average_rate=average)


def test_many_cameras_ask_for_as_much_as_one_that_gives_all_their_pixels() -> None:
    cameras = Cameras([stream(1280, 720, 25), stream(640, 360, 20)], 2)
    pace = pace_for(cameras)
    assert (pace.width, pace.height, pace.rate, pace.sequence) == (1280, 720, Fraction(30), True)
    with_others_away = pace_for(Cameras([stream(1280, 720, 25)], 3))
    assert with_others_away.rate == 75
    assert pace_for(Cameras([stream(64, 48, None)])).rate == 25
    assert pace_for(Cameras()) == USUAL


def test_a_latency_asks_for_a_quicker_network() -> None:
    assert pace_for(Cameras([stream(64, 48, 5)], max_latency=0.1)).rate == 20


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """Two networks, the better one first."""
    paths = tuple(onnx_models.identity(tmp_path, name) for name in ("large", "small"))
    monkeypatch.setattr(models, "ranked", lambda sequence=False: paths)
    return paths


def test_the_smaller_networks_of_the_family_are_steps(family: tuple[Path, ...]) -> None:
    cameras = Cameras(max_latency=0.1)
    with ExitStack() as stack:
        opened = open_networks(family[0], CPU, cameras, "off", True, stack)
        assert [network.engine.card.name for network in opened.networks] == ["large", "small"]
        assert [step.model for step in opened.steps[:3]] == [0, 1, 1]
        assert opened.steps[1].words == "the smaller network small"
    assert not cameras.asked, "a network that was named is no choice"


def test_without_a_latency_to_keep_nothing_else_is_opened(family: tuple[Path, ...]) -> None:
    with ExitStack() as stack:
        opened = open_networks(family[0], CPU, Cameras(), "off", True, stack)
        assert len(opened.networks) == 1 and opened.steps == (Step(),)


def test_which_network_auto_takes_hangs_on_the_cameras(family: tuple[Path, ...]) -> None:
    cameras = Cameras([stream(32, 16, 5)])
    with ExitStack() as stack:
        opened = open_networks("auto", CPU, cameras, "off", True, stack)
        assert opened.engine.card.name == "large"
        assert opened.why.startswith("the best, keeps 5 fps")
    assert cameras.asked


def test_it_begins_on_the_cpu_and_the_device_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what a recurrent network remembers, between two frames, said once."""
    device = far_backend.attach(monkeypatch)
    model = onnx_models.recurrent(tmp_path)
    cameras = [FakeCamera("a"), FakeCamera("b")]
    with Run(model, cameras, engine=EngineOptions(threads=1)) as run:
        for _ in range(3):
            for camera in cameras:
                run.send(camera)
        while not run.told.changes:
            for camera in cameras:
                run.send(camera)
        for camera in cameras:
            run.send(camera)
    assert run.figures is not None
    (change,) = run.told.changes
    assert (change.before, change.backend, change.precision) == ("onnxruntime fp32", "far", "fp16")
    assert run.told.facts[0].instant == "far opens meanwhile" and run.told.facts[0].backend == "onnxruntime"
    assert run.figures.backend == "far"
    assert device.opened[-1].closed
    with OnnxRuntimeEngine(open_model(model), CPU) as engine:
        for camera in cameras:
            alone = Restorer(engine, sequence=True)
            for shown in run.sinks[0].of(camera.name):
                right = alone(shown.taken.frame.pixels)
                assert np.abs(shown.restored.astype(int) - right.astype(int)).max() <= 1


def test_frames_without_rain_skip_the_network(tmp_path: Path) -> None:
    """Of each camera by itself: those of one that rains do not."""
    model = onnx_models.mapped(tmp_path, kernel=1)
    with ExitStack() as stack:
        opened = open_networks(model, CPU, Cameras(count=2), "auto", True, stack)
        (network,) = opened.networks
        assert network.watch.active
        cameras = [FakeCamera("dry", (32, 16)), FakeCamera("wet", (32, 16))]
        run = Street(cameras, [0, 0], engines=[network.engine])
        for camera in run.cameras:
            camera.make = opened.workshop.make
        for _ in range(2 * SETTLE):
            cameras[0].send(run.clock(), 0)
            cameras[1].send(run.clock(), 255)
            while run.scheduler.turn():
                pass
            run.clock.pass_(0.04)
    dry = [shown for shown in run.shown if shown.camera == "dry"]
    wet = [shown for shown in run.shown if shown.camera == "wet"]
    assert dry[-1].restored is dry[-1].taken.frame.pixels
    assert wet[-1].restored is not wet[-1].taken.frame.pixels
    assert dry[-1].attention is not None and dry[-1].attention.max() == 0
    assert wet[-1].attention is not None and wet[-1].attention.max() > 0
    assert dry[-1].rain is not None and wet[-1].rain is not None and dry[-1].rain < 0.1 < wet[-1].rain
