"""What `engines/device/seam.py` says, held to by every implementation.

Here on host memory; `test_drivers.py` runs it through cuda.bindings and pycuda.
"""

from collections.abc import Callable
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from derain.engines.device.opening import open_device
from derain.engines.device.seam import Buffer, Device, DeviceMemoryError, HostArray, Stream
from derain.engines.errors import DerainError

RNG = np.random.default_rng(7)
MIB = 2**20


def filled(device: Device, shape: tuple[int, ...] = (7, 13, 3), dtype: npt.DTypeLike = np.uint8) -> HostArray:
    array = device.pinned(shape, dtype)
    array[...] = RNG.integers(0, 200, shape)
    return array


def contents(device: Device, buffer: Buffer, stream: Stream) -> list[int]:
    """What the buffer has when the stream's work is done."""
    array = device.pinned((buffer.nbytes,), np.uint8)
    device.download(buffer, array, stream)
    stream.synchronize()
    return [int(value) for value in array]


def loaded(device: Device, values: list[int], stream: Stream) -> Buffer:
    array = device.pinned((len(values),), np.uint8)
    array[:] = values
    buffer = device.allocate(len(values))
    device.upload(array, buffer, stream)
    return buffer


def test_a_device_says_what_it_is(device: Device) -> None:
    facts = device.facts
    assert facts.name
    assert 0 < device.free_memory() <= facts.memory
    if device.name == "host":
        assert (facts.capability, facts.driver) == ((0, 0), (0, 0))
    else:
        assert facts.capability >= (5, 0)
        assert facts.driver >= (11, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_goes_up_comes_down(device: Device, dtype: npt.DTypeLike) -> None:
    rainy, restored = filled(device, dtype=dtype), device.pinned((7, 13, 3), dtype)
    assert not restored.any()
    buffer, stream = device.allocate(rainy.nbytes), device.stream()
    device.upload(rainy, buffer, stream)
    device.download(buffer, restored, stream)
    stream.synchronize()
    assert np.array_equal(restored, rainy)


def test_arrays_that_are_not_page_locked_will_do(device: Device) -> None:
    rainy, restored = np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)
    buffer, stream = device.allocate(rainy.nbytes), device.stream()
    device.upload(rainy, buffer, stream)
    device.download(buffer, restored, stream)
    stream.synchronize()
    assert np.array_equal(restored, rainy)


def test_a_stream_works_in_order(device: Device) -> None:
    stream = device.stream()
    first, second = loaded(device, [1, 2, 3, 4, 5], stream), device.allocate(5)
    device.copy(first, second, 5, stream)
    device.zero(first, stream)
    device.copy(first, second, 2, stream)
    assert contents(device, second, stream) == [0, 0, 3, 4, 5]


def test_a_copy_touches_only_the_first_bytes(device: Device) -> None:
    stream = device.stream()
    buffer = device.allocate(5)
    device.zero(buffer, stream)
    device.upload(np.array([7, 8], np.uint8), buffer, stream)
    assert contents(device, buffer, stream) == [7, 8, 0, 0, 0]
    part = device.pinned((3,), np.uint8)
    device.download(buffer, part[:2], stream)
    stream.synchronize()
    assert part.tolist() == [7, 8, 0]


def test_a_stream_waits_for_another_one(device: Device) -> None:
    first, second, uploaded = device.stream(), device.stream(), device.event()
    buffer = loaded(device, [4, 5, 6], first)
    first.record(uploaded)
    second.wait(uploaded)
    assert contents(device, buffer, second) == [4, 5, 6]


def test_two_streams_wait_for_each_other_in_turns(device: Device) -> None:
    """As frames do that are uploaded, worked on and downloaded side by side."""
    up, down = device.stream(), device.stream()
    uploaded, downloaded = device.event(), device.event()
    buffer = device.allocate(1)
    results = []
    for value in range(5):
        rainy, restored = device.pinned((1,), np.uint8), device.pinned((1,), np.uint8)
        rainy[:] = value + 1
        up.wait(downloaded)
        device.upload(rainy, buffer, up)
        up.record(uploaded)
        down.wait(uploaded)
        device.download(buffer, restored, down)
        down.record(downloaded)
        results.append(restored)
    downloaded.synchronize()
    assert np.concatenate(results).tolist() == [1, 2, 3, 4, 5]


def test_an_event_that_was_never_recorded_is_done(device: Device) -> None:
    event, stream = device.event(), device.stream()
    assert event.done()
    event.synchronize()
    stream.wait(event)
    stream.synchronize()


def test_an_event_is_done_when_the_work_before_it_is(device: Device) -> None:
    stream, event, array = device.stream(), device.event(), device.pinned((3,), np.uint8)
    device.download(loaded(device, [1, 2, 3], stream), array, stream)
    stream.record(event)
    event.synchronize()
    assert event.done()
    assert array.tolist() == [1, 2, 3]
    buffer = loaded(device, [9, 8, 7], stream)
    device.download(buffer, array, stream)
    stream.record(event)
    while not event.done():
        pass
    assert array.tolist() == [9, 8, 7]


def test_events_tell_the_time_between_them(device: Device) -> None:
    stream, first, second = device.stream(), device.event(timing=True), device.event(timing=True)
    stream.record(first)
    loaded(device, [1] * 1000, stream)
    stream.record(second)
    second.synchronize()
    assert 0 <= second.milliseconds_since(first) < 10_000
    quiet = device.event()
    stream.record(quiet)
    quiet.synchronize()
    with pytest.raises(DerainError):
        quiet.milliseconds_since(first)
    with pytest.raises(DerainError):
        device.event(timing=True).milliseconds_since(first)


def graphs_of(device: Device) -> None:
    if not device.graphs:
        with pytest.raises(DerainError, match="no graphs"):
            device.stream().begin_capture()
        pytest.skip(f"{device.name} has no graphs, and says so")


def test_a_graph_does_again_what_was_captured(device: Device) -> None:
    graphs_of(device)
    stream, first, second = device.stream(), device.allocate(3), device.allocate(3)
    rainy, restored = device.pinned((3,), np.uint8), device.pinned((3,), np.uint8)
    stream.begin_capture()
    device.upload(rainy, first, stream)
    device.copy(first, second, 3, stream)
    device.download(second, restored, stream)
    graph = stream.end_capture()
    rainy[:] = 1
    stream.synchronize()
    assert restored.tolist() == [0, 0, 0], "captured work is only noted"
    graph.launch(stream)
    stream.synchronize()
    assert restored.tolist() == [1, 1, 1]
    rainy[:] = 2
    other = device.stream()
    graph.launch(other)
    other.synchronize()
    assert restored.tolist() == [2, 2, 2]
    graph.close()
    graph.close()
    with pytest.raises(DerainError, match="graph is closed"):
        graph.launch(stream)


def test_a_stream_that_captures_is_not_waited_for(device: Device) -> None:
    graphs_of(device)
    stream, event, buffer = device.stream(), device.event(), device.allocate(3)
    with pytest.raises(DerainError, match="does not capture"):
        stream.end_capture()
    stream.begin_capture()
    refused: list[Callable[[], object]] = [
        stream.synchronize,
        stream.begin_capture,
        lambda: stream.record(event),
        lambda: stream.wait(event),
    ]
    for call in refused:
        with pytest.raises(DerainError, match="begin_capture and end_capture"):
            call()
    device.zero(buffer, stream)
    stream.end_capture().launch(stream)
    assert contents(device, buffer, stream) == [0, 0, 0]


def test_a_stream_is_closed_in_the_midst_of_a_capture(device: Device) -> None:
    graphs_of(device)
    stream, buffer = device.stream(), device.allocate(3)
    stream.begin_capture()
    device.zero(buffer, stream)
    stream.close()
    assert device.allocate(3).nbytes == 3
    device.stream().begin_capture()  # and so does a device


def test_memory_is_counted_and_given_back(device: Device) -> None:
    before = device.free_memory()
    buffers = [device.allocate(8 * MIB) for _ in range(3)]
    assert device.free_memory() <= before - 24 * MIB
    assert len({buffer.pointer for buffer in buffers}) == 3
    for buffer in buffers:
        buffer.free()
        buffer.free()
    assert device.free_memory() > before - 8 * MIB


def test_no_room_is_said_and_less_still_fits(device: Device) -> None:
    with pytest.raises(DeviceMemoryError, match=r"no room for [\d.]+ MiB, [\d.]+ MiB are free"):
        device.allocate(device.facts.memory + MIB)
    stream = device.stream()
    assert contents(device, loaded(device, [1, 2], stream), stream) == [1, 2]


def test_a_buffer_has_a_byte_at_least(device: Device) -> None:
    with pytest.raises(DerainError, match="0 bytes"):
        device.allocate(0)


def test_what_does_not_fit_is_refused(device: Device) -> None:
    stream, small, large = device.stream(), device.allocate(3), device.allocate(4)
    array = device.pinned((4,), np.uint8)
    calls: list[Callable[[], object]] = [
        lambda: device.upload(array, small, stream),
        lambda: device.download(small, array, stream),
        lambda: device.copy(small, large, 4, stream),
        lambda: device.copy(large, small, 4, stream),
    ]
    for call in calls:
        with pytest.raises(DerainError, match=r"4 bytes were to be copied, but the buffer has 3"):
            call()


def test_an_array_is_contiguous_and_can_be_filled(device: Device) -> None:
    stream, buffer, array = device.stream(), device.allocate(100), np.zeros((8, 8), np.uint8)
    with pytest.raises(DerainError, match="contiguous"):
        device.upload(array[:, ::2], buffer, stream)
    with pytest.raises(DerainError, match="contiguous"):
        device.download(buffer, array.T[:4], stream)
    array.flags.writeable = False
    device.upload(array, buffer, stream)
    with pytest.raises(DerainError, match="writeable"):
        device.download(buffer, array, stream)


def test_what_was_closed_is_not_used(device: Device) -> None:
    stream, event, buffer, array = device.stream(), device.event(), device.allocate(4), np.zeros(4, np.uint8)
    closed, done, freed = device.stream(), device.event(), device.allocate(4)
    for close in (closed.close, done.close, freed.free):
        close()
        close()
    calls: list[tuple[str, Callable[[], object]]] = [
        ("stream", closed.synchronize),
        ("stream", lambda: closed.record(event)),
        ("stream", lambda: closed.wait(event)),
        ("stream", lambda: closed.handle),
        ("stream", lambda: device.upload(array, buffer, closed)),
        ("event", lambda: stream.record(done)),
        ("event", lambda: stream.wait(done)),
        ("event", done.done),
        ("event", done.synchronize),
        ("buffer", lambda: freed.pointer),
        ("buffer", lambda: device.upload(array, freed, stream)),
        ("buffer", lambda: device.copy(buffer, freed, 1, stream)),
        ("buffer", lambda: device.zero(freed, stream)),
    ]
    for what, call in calls:
        with pytest.raises(DerainError, match=f"this {what} is closed"):
            call()


def test_closing_a_stream_waits_for_its_work(device: Device) -> None:
    stream, array = device.stream(), device.pinned((3,), np.uint8)
    device.download(loaded(device, [1, 2, 3], stream), array, stream)
    stream.close()
    assert array.tolist() == [1, 2, 3]


def test_after_the_device_is_closed_there_is_an_ordinary_array(device: Device) -> None:
    stream, event, buffer = device.stream(), device.event(), device.allocate(3)
    array = device.pinned((3,), np.uint8)
    device.download(loaded(device, [1, 2, 3], stream), array, stream)
    device.close()
    device.close()
    assert array.tolist() == [1, 2, 3], "closing waits for what is under way"
    array[:] = 9
    assert array.sum() == 27
    calls: list[Callable[[], object]] = [
        device.stream,
        device.event,
        device.free_memory,
        device.current,
        lambda: device.allocate(1),
        lambda: device.pinned((1,), np.uint8),
        lambda: device.zero(buffer, stream),
        stream.synchronize,
        event.done,
    ]
    for call in calls:
        with pytest.raises(DerainError, match="closed, and can no longer be used"):
            call()
    for close in (stream.close, event.close, buffer.free):
        close()


def test_things_of_another_device_are_refused(device: Device) -> None:
    stream, buffer, array = device.stream(), device.allocate(3), np.zeros(3, np.uint8)
    with open_device(device.name) as second:  # the same GPU once more: both share its context
        with pytest.raises(DerainError, match="buffer is not of the device"):
            second.upload(array, buffer, second.stream())
        with pytest.raises(DerainError, match="stream is not of the device"):
            second.zero(second.allocate(3), stream)
        with pytest.raises(DerainError, match="event is not of the device"):
            stream.record(second.event())


def test_any_thread_may_use_a_device(device: Device) -> None:
    seen: list[Any] = []

    def work() -> None:
        with device.current():
            stream = device.stream()
            seen.append(contents(device, loaded(device, [1, 2, 3], stream), stream))
            seen.append(device.free_memory())

    inside(work)
    assert seen[0] == [1, 2, 3]
    assert seen[1] > 0
    inside(device.close)
    with pytest.raises(DerainError):
        device.free_memory()


def inside(work: Callable[[], None]) -> None:
    """Another thread."""
    thread = Thread(target=work)
    thread.start()
    thread.join()
