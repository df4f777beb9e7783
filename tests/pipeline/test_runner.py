import _thread
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeSink, FakeSource, negative

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.pipeline import runner
from derain.pipeline.metrics import Rain, Snapshot
from derain.pipeline.runner import CAPACITY, Interrupted, Output, run


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def fails_at(number: int, error: BaseException) -> Callable[[int], None]:
    def hook(count: int) -> None:
        if count == number:
            raise error

    return hook


def join(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(5)


def test_every_frame_arrives_in_order_restored_and_with_its_time() -> None:
    sink = FakeSink()
    report = run(FakeSource(300), negative, [Output(sink)])
    assert [frame.pts for frame in sink.frames] == [number * 40 for number in range(300)]
    assert [int(frame.pixels[0, 0, 0]) for frame in sink.frames] == [255 - n % 256 for n in range(300)]
    assert sink.state == "closed"
    assert report.frames == 300
    assert [times.frames for times in report.stages.values()] == [300, 300, 300]


def test_each_output_gets_its_own_picture() -> None:
    main, rain = FakeSink(), FakeSink()

    def both(rainy: Pixels, restored: Pixels) -> Pixels:
        return np.concatenate([rainy, restored], axis=1)

    run(FakeSource(3), negative, [Output(main), Output(rain, both)])
    assert main.frames[2].pixels.shape == (4, 8, 3)
    assert rain.frames[2].pixels.shape == (4, 16, 3)
    assert rain.frames[2].pixels[0, 0, 0] == 2
    assert rain.frames[2].pixels[0, 8, 0] == 253


class Witness:
    """A judge of a scene that gets darker by a level each frame, and is bright again where it begins anew."""

    def __init__(self) -> None:
        self.rain = Rain()
        self.reset_before: list[int] = []

    def reset(self) -> None:
        self.reset_before.append(self.rain.frames)

    def __call__(self, pixels: Pixels) -> Pixels:
        self.rain = Rain(score=0.5, judge="network", frames=self.rain.frames + 1)
        return pixels


def test_a_judge_begins_anew_at_cuts_and_is_asked_for_what_it_saw() -> None:
    """Frames are grey at their number, and so go from white to black before frame 256."""
    witness, told = Witness(), list[Snapshot]()
    sink = FakeSink(lambda count: time.sleep(0.3 if count == 100 else 0))
    report = run(FakeSource(300), witness, [Output(sink)], tell=told.append, judge=witness)
    assert witness.reset_before == [256]
    assert report.rain == Rain(score=0.5, judge="network", frames=300)
    assert report.resets is None, "those are of networks that remember"
    assert any(one.rain is not None and one.rain.frames >= 100 for one in told)


def test_the_main_output_is_published_last() -> None:
    published: list[str] = []
    main, rain = FakeSink(), FakeSink()
    main.closing = lambda: published.append("main")
    rain.closing = lambda: published.append("rain")
    run(FakeSource(3), negative, [Output(main), Output(rain)])
    assert published == ["rain", "main"]


def test_the_stages_overlap() -> None:
    """Decoding of frame 2, restoring of 1 and encoding of 0 wait for one another."""
    together = threading.Barrier(3)

    def meet_at(number: int) -> Callable[[int], None]:
        def hook(count: int) -> None:
            if count == number:
                together.wait(10)

        return hook

    def restore(pixels: Pixels) -> Pixels:
        meet_at(1)(int(pixels[0, 0, 0]))
        return pixels

    sink = FakeSink(meet_at(0))
    assert run(FakeSource(5, meet_at(2)), restore, [Output(sink)]).frames == 5


def test_a_slow_sink_holds_the_source_back() -> None:
    decoded: list[int] = []
    ahead: list[int] = []

    def slow(count: int) -> None:
        time.sleep(0.01)
        ahead.append(len(decoded) - count)

    run(FakeSource(60, decoded.append), negative, [Output(FakeSink(slow))])
    assert max(ahead) <= 2 * CAPACITY + 4


@pytest.mark.parametrize("stage", ["decode", "restore", "encode"])
@pytest.mark.parametrize("error", [OSError("the disk fell off"), DerainError("the disk fell off")])
def test_a_failure_ends_the_run_with_its_cause_and_publishes_nothing(stage: str, error: Exception) -> None:
    def restore(pixels: Pixels) -> Pixels:
        if stage == "restore":
            fails_at(20, error)(int(pixels[0, 0, 0]))
        return pixels

    source = FakeSource(10_000, fails_at(20, error) if stage == "decode" else lambda _: None)
    sinks = [FakeSink(), FakeSink(fails_at(20, error) if stage == "encode" else lambda _: None)]
    with pytest.raises(DerainError, match="the disk fell off") as caught:
        run(source, restore, [Output(sink) for sink in sinks])
    assert caught.value is error or caught.value.__cause__ is error
    assert caught.value is error or stage in str(caught.value)
    assert [sink.state for sink in sinks] == ["discarded", "discarded"]


def test_a_failure_wakes_the_threads_that_wait_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The sink fails while both others stand before full channels; they must leave within a second."""
    monkeypatch.setattr(runner, "GRACE", 1.0)
    gate = threading.Event()

    def hook(count: int) -> None:
        gate.wait(10)
        raise OSError("no space")

    threading.Timer(0.2, gate.set).start()
    with pytest.raises(DerainError, match="encode stage failed after 0 frames"):
        run(FakeSource(10_000), negative, [Output(FakeSink(hook))])
    assert "left behind" not in caplog.text


def test_a_failure_while_publishing_discards() -> None:
    sink = FakeSink()

    def full() -> None:
        raise DerainError("the disk is full")

    sink.closing = full
    with pytest.raises(DerainError, match="the disk is full"):
        run(FakeSource(3), negative, [Output(sink)])
    assert sink.state == "discarded"


def test_a_failing_display_ends_the_run() -> None:
    sink = FakeSink(lambda _: time.sleep(0.01))

    def tell(_: Snapshot) -> None:
        raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError):
        run(FakeSource(10_000), negative, [Output(sink)], tell=tell)
    assert sink.state == "discarded"


def test_a_source_without_frames_publishes_nothing() -> None:
    sink = FakeSink()
    with pytest.raises(DerainError, match="gave no frames"):
        run(FakeSource(0), negative, [Output(sink)])
    assert sink.state == "discarded"


def test_what_a_source_fell_short_of_is_reported_and_the_rest_published() -> None:
    sink = FakeSink()
    report = run(FakeSource(7, shortfall="3 frames are missing"), negative, [Output(sink)])
    assert report.shortfall == "3 frames are missing"
    assert sink.state == "closed"


@pytest.mark.parametrize(("stuck", "state"), [("decode", "discarded"), ("encode", "open")])
def test_a_stuck_thread_is_left_behind(
    stuck: str, state: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink whose own thread is stuck is not touched: nobody knows what it is doing."""
    monkeypatch.setattr(runner, "GRACE", 0.3)
    reached, release = threading.Event(), threading.Event()

    def hangs(count: int) -> None:
        if count == 1:
            reached.set()
            release.wait(10)

    def fails(count: int) -> None:
        if count == (0 if stuck == "decode" else 3):
            reached.wait(10)
            raise OSError("no space")

    decoding, encoding = (hangs, fails) if stuck == "decode" else (fails, hangs)
    source, sink = FakeSource(9, decoding), FakeSink(encoding)
    with pytest.raises(DerainError, match="no space"):
        run(source, negative, [Output(sink)])
    assert sink.state == state
    assert f"derain-{stuck} did not stop" in caplog.text
    release.set()
    join(f"derain-{stuck}")


class CtrlC:
    """A hook that interrupts the run at frame `number`, once the calling thread watches: `tell` says so."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._watching = threading.Event()

    def __call__(self, count: int) -> None:
        if count == self._number:
            self._watching.wait(10)
            _thread.interrupt_main()
        time.sleep(0.001)

    def tell(self, _: Snapshot) -> None:
        """Watching."""
        self._watching.set()


def test_ctrl_c_keeps_the_partial_file(tmp_path: Path) -> None:
    ctrl_c = CtrlC(10)
    sink = FakeSink(ctrl_c, partial=tmp_path / "clean.partial.mp4")
    with pytest.raises(Interrupted) as caught:
        run(FakeSource(10_000), negative, [Output(sink)], tell=ctrl_c.tell)
    assert sink.state == "kept"
    assert caught.value.partials == (tmp_path / "clean.partial.mp4",)
    assert caught.value.report.frames == sink.count
    assert 10 < sink.count < 10_000


def test_ctrl_c_keeps_the_partial_file_of_a_stuck_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.3)
    stuck, ctrl_c = threading.Event(), CtrlC(5)

    def hook(count: int) -> None:
        ctrl_c(count)
        if count == 5:
            stuck.wait(10)

    partial = tmp_path / "clean.partial.mp4"
    with pytest.raises(Interrupted) as caught:
        run(FakeSource(10, hook), negative, [Output(FakeSink(partial=partial))], tell=ctrl_c.tell)
    assert caught.value.partials == (partial,)
    stuck.set()
    join("derain-decode")


def test_ctrl_c_before_all_threads_run_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == "derain-restore":
            raise KeyboardInterrupt
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    sink = FakeSink()
    with pytest.raises(Interrupted) as caught:
        run(FakeSource(10), negative, [Output(sink)])
    assert caught.value.partials == ()
    assert sink.state == "discarded"


def test_a_second_ctrl_c_discards_the_partial_file(tmp_path: Path) -> None:
    partial = tmp_path / "clean.partial.mp4"
    ctrl_c = CtrlC(10)
    sink = FakeSink(ctrl_c, partial=partial)

    def again() -> None:
        _thread.interrupt_main()
        time.sleep(0.3)

    sink.keeping = again
    with pytest.raises(Interrupted) as caught:
        run(FakeSource(10_000), negative, [Output(sink)], tell=ctrl_c.tell)
    assert caught.value.partials == ()
    assert not partial.exists()


def test_ctrl_c_while_publishing_comes_too_late() -> None:
    ctrl_c = CtrlC(0)
    sink = FakeSink()

    def interrupted() -> None:
        ctrl_c(0)
        time.sleep(0.3)

    sink.closing = interrupted
    assert run(FakeSource(5), negative, [Output(sink)], tell=ctrl_c.tell).frames == 5
    assert sink.state == "closed"


def test_a_failure_while_keeping_is_told() -> None:
    ctrl_c = CtrlC(10)
    sink = FakeSink(ctrl_c)

    def full() -> None:
        raise DerainError("the disk is full")

    sink.keeping = full
    with pytest.raises(DerainError, match="the disk is full"):
        run(FakeSource(10_000), negative, [Output(sink)], tell=ctrl_c.tell)
    assert sink.state == "discarded"


def test_progress_is_told_in_the_calling_thread() -> None:
    told: list[tuple[str, int]] = []

    def tell(snapshot: Snapshot) -> None:
        told.append((threading.current_thread().name, snapshot.frames))

    sink = FakeSink(lambda _: time.sleep(0.02))
    run(FakeSource(30), negative, [Output(sink)], expected=30, tell=tell)
    assert {name for name, _ in told} == {threading.current_thread().name}
    assert told == sorted(told, key=lambda item: item[1])
    assert len(told) > 2


def test_memory_is_flat_over_ten_thousand_frames() -> None:
    sizes: list[int] = []

    def weigh(count: int) -> None:
        if count in (1_000, 9_999):
            sizes.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        run(FakeSource(10_000), negative, [Output(FakeSink(weigh, remember=False))])
    finally:
        tracemalloc.stop()
    assert sizes[1] - sizes[0] < 20_000
