"""A live run from its start to its end, with cameras and sinks that do what they are told."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from live_fakes import FakeCamera, FakeSink
from live_run import ENGINE, Run, Told, wait_for

from derain.engines.errors import UsageError
from derain.pipeline.live import running
from derain.pipeline.live.address import parse_address
from derain.pipeline.live.desk import Desk
from derain.pipeline.live.job import CameraJob, LiveJob, run_live
from derain.pipeline.live.outlets import Outlet
from derain.pipeline.live.scheduler import Scheduler
from derain.pipeline.live.seam import Packet, State


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_models.conv(tmp_path_factory.mktemp("models"))


def until(release: threading.Event) -> None:
    release.wait(60)


def test_every_frame_that_comes_alone_is_shown_with_both_halves(model: Path) -> None:
    cameras = [FakeCamera("front"), FakeCamera("back", (24, 12))]
    sinks = [FakeSink(), FakeSink()]
    with Run(model, cameras, sinks, strength=0.0) as run:
        for camera in cameras:
            run.send(camera, 3)
    assert run.error is None and run.figures is not None
    for sink in sinks:
        assert [shown.camera for shown in sink.shown] == ["front"] * 3 + ["back"] * 3
        for shown in sink.shown:
            assert np.array_equal(shown.restored, shown.taken.frame.pixels), "nothing of the rain is taken"
            assert shown.handed >= shown.taken.arrived
        assert sink.closed == 1
    assert [one.restored for one in run.figures.cameras] == [3, 3]
    assert all(camera.stopped for camera in cameras)
    assert run.told.facts[0].cameras == (("front", "pattern"), ("back", "pattern"))
    assert run.told.facts[0].outputs == ("sink 0", "sink 1")
    (end,) = run.told.ends
    assert (end.status, end.exit_code) == ("done", 0)
    assert "front: 3 frames restored, 0 dropped" in end.message


def test_states_reach_sinks_and_teller_and_packets_the_sinks(model: Path) -> None:
    camera, sink = FakeCamera(), FakeSink()
    camera.state = State.OPENING
    with Run(model, [camera], [sink]) as run:
        camera.said, camera.state = "the host is away", State.AWAY
        wait_for(lambda: ("front", State.AWAY, "the host is away") in sink.states)
        camera.said, camera.state = "", State.LIVE
        wait_for(lambda: ("front", State.LIVE, "") in sink.states)
        packet = Packet(0, "video", b"1", None, None, 1, camera.frame(0.0).frame.time_base, True, 0)
        camera.send_packet(packet)
        assert sink.packets == [("front", packet)]
    assert run.told.states[:2] == sink.states[:2]


def test_a_sink_that_fails_harms_no_other(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(shown: object) -> None:
        raise ValueError("no room")

    broken, good = FakeSink(), FakeSink()
    broken.before = fail
    with Run(model, [FakeCamera()], [broken, good]) as run:
        run.send(run.cameras[0], 3)
    assert run.error is None
    assert len(good.shown) == 3
    told = [record.getMessage() for record in caplog.records if "no room" in record.getMessage()]
    assert told == ["sink 0 failed and shows nothing any more: ValueError: no room"]
    assert broken.closed == 1, "it is closed all the same"


def test_a_sink_shows_the_cameras_that_it_is_for(model: Path) -> None:
    cameras, sinks = [FakeCamera("a"), FakeCamera("b")], [FakeSink(), FakeSink()]
    outlet = lambda n, sink: Outlet(f"{n}", sink, frozenset("a") if n == 0 else None)  # noqa: E731
    with Run(model, cameras, sinks, outlet) as run:
        for camera in cameras:
            run.send(camera)
    assert [shown.camera for shown in sinks[0].shown] == ["a"]
    assert [shown.camera for shown in sinks[1].shown] == ["a", "b"]


def test_a_sink_that_hangs_is_left_behind(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: object
) -> None:
    monkeypatch.setattr(running, "CLOSING", 0.3)
    hanging, good, release = FakeSink(), FakeSink(), threading.Event()
    hanging.closing = lambda: until(release)
    with Run(model, [FakeCamera()], [hanging, good]) as run:
        run.send(run.cameras[0])
    release.set()
    assert run.error is None and good.closed == 1


def test_a_camera_that_does_not_stop_is_left_behind(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "STOPPING", 0.3)
    release = threading.Event()
    hanging, good = FakeCamera("hanging"), FakeCamera("good")
    hanging.stopping = lambda: until(release)
    sink = FakeSink()
    run = Run(model, [hanging, good], [sink])
    try:
        run._thread.start()
        assert good.started.wait(60)
        run.send(good)
        hanging.state = good.state = State.ENDED
        run._thread.join(60)
        assert not run._thread.is_alive()
    finally:
        release.set()
    assert good.stopped and sink.closed == 1


def test_an_engine_that_fails_ends_the_run_with_its_cause(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Scheduler) -> bool:
        if self._waiting():
            raise RuntimeError("the device is gone")
        return True

    monkeypatch.setattr(Scheduler, "turn", fail)
    camera, sink = FakeCamera(), FakeSink()
    with Run(model, [camera], [sink]) as run:
        camera.send(time.monotonic())
        wait_for(lambda: run.error is not None)
    assert str(run.error) == "restoring failed: RuntimeError: the device is gone"
    assert isinstance(run.error.__cause__, RuntimeError)  # type: ignore[union-attr]
    assert camera.stopped and sink.closed == 1
    (end,) = run.told.ends
    assert (end.status, end.exit_code) == ("failed", 1)


def test_the_strength_is_set_while_it_runs(model: Path) -> None:
    with Run(model, [FakeCamera()]) as run:
        run.send(run.cameras[0])
        assert run.control is not None
        run.control.set_strength("front", 0.0)
        run.send(run.cameras[0])
        assert run.control.figures().cameras[0].strength == 0
        with pytest.raises(UsageError, match="there is no camera 'side'; there are: front"):
            run.control.set_strength("side", 1.0)
        with pytest.raises(UsageError, match="the strength is 7"):
            run.control.set_strength("front", 7)
    first, second = run.sinks[0].shown
    assert not np.array_equal(first.restored, first.taken.frame.pixels)
    assert np.array_equal(second.restored, second.taken.frame.pixels)


def test_a_sink_may_ask_for_the_end_and_the_streams(model: Path) -> None:
    with Run(model, [FakeCamera()]) as run:
        run.send(run.cameras[0])
        assert run.control is not None and run.control.cameras == ("front",)
        assert run.control.tracks("front") == ()
        assert run.control.engine is not None and run.control.engine.card.name == "conv"
        run.control.leave()
        run.ends()
    assert run.told.ends[0].exit_code == 0


def test_it_ends_after_its_duration(model: Path) -> None:
    run = Run(model, [FakeCamera()], duration=0.2)
    with run:
        run.ends()
    assert run.figures is not None and run.figures.memory > 0


def test_a_sink_that_can_not_be_opened_is_told_before_any_camera_is(model: Path) -> None:
    def fail(desk: Desk) -> list[Outlet]:
        raise UsageError("the port 80 is in use; give another")

    camera = FakeCamera()
    job = LiveJob((CameraJob("front", parse_address("pattern")),), model, ENGINE)
    with pytest.raises(UsageError, match="the port 80"):
        run_live(job, Told(), fail, lambda job: camera)
    assert not camera.started.is_set()


def one(name: str = "a", source: str = "pattern") -> CameraJob:
    return CameraJob(name, parse_address(source))


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (lambda: LiveJob(()), "there is no source"),
        (lambda: LiveJob((one(), one())), "two cameras have the name 'a'"),
        (lambda: LiveJob((one(""),)), "a camera has the name ''"),
        (lambda: LiveJob((one(),), max_latency=0.001), "the latency to keep is 1 ms"),
        (lambda: LiveJob((one(),), strength=2), "the strength is 2"),
        (lambda: LiveJob((one(),), policy="lossless", max_latency=0.1), "lossless leaves none out"),
        (lambda: LiveJob((one("a", "0"),), policy="lossless"), "a \\(0\\) can't wait"),
        (lambda: LiveJob((one(),), policy="best"), "the policy is 'best'"),  # type: ignore[arg-type]
    ],
)
def test_what_can_not_be_done_is_told_first(job: Callable[[], LiveJob], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        job()


def test_a_network_that_there_is_not_is_told_first() -> None:
    camera = FakeCamera()
    with pytest.raises(UsageError, match="there is no network 'none'"):
        run_live(LiveJob((one("front"),), "none"), Told(), None, lambda job: camera)
    assert not camera.started.is_set()
