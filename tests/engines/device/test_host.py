"""The host's memory as a device: nothing is done before somebody waits for it."""

from typing import Any

import numpy as np
import pytest

from derain.engines.device.host import HostDevice
from derain.engines.device.seam import DeviceMemoryError
from derain.engines.errors import DerainError


def failing() -> None:
    raise DerainError("the network came to nothing")


def test_who_does_not_wait_finds_what_was_there_before() -> None:
    with HostDevice() as device:
        stream, event, array = device.stream(), device.event(), device.pinned((3,), np.uint8)
        buffer = device.allocate(3)
        device.zero(buffer, stream)
        array[:] = 7
        device.download(buffer, array, stream)
        stream.record(event)
        assert array.tolist() == [7, 7, 7]
        assert [event.done(), event.done()] == [False, False]
        assert array.tolist() == [0, 0, 0]
        assert event.done()


def test_fresh_memory_is_not_zero() -> None:
    with HostDevice() as device:
        stream, array = device.stream(), device.pinned((3,), np.uint8)
        device.download(device.allocate(3), array, stream)
        stream.synchronize()
        assert array.all()


def test_a_runtime_puts_its_work_in_by_the_streams_handle() -> None:
    done: list[Any] = []
    with HostDevice() as device:
        stream, array = device.stream(), device.pinned((1,), np.uint8)
        device.put(stream.handle, lambda: done.append(array.tolist()))
        assert done == []
        stream.begin_capture()
        device.put(stream.handle, lambda: done.append("captured"))
        graph = stream.end_capture()
        graph.launch(stream)
        graph.launch(stream)
        stream.synchronize()
        handle = stream.handle
        stream.close()
        with pytest.raises(DerainError, match="no open stream"):
            device.put(handle, failing)
    assert done == [[0], "captured", "captured"]


def test_work_that_failed_is_told_to_all_who_wait_for_it() -> None:
    done: list[int] = []
    device = HostDevice()
    stream, other, event = device.stream(), device.stream(), device.event()
    device.put(stream.handle, failing)
    device.put(stream.handle, lambda: done.append(1))
    stream.record(event)
    other.wait(event)
    for wait in (event.done, event.synchronize, stream.synchronize, stream.synchronize, other.synchronize):
        with pytest.raises(DerainError, match="came to nothing"):
            wait()
    with pytest.raises(DerainError, match="came to nothing"):
        stream.close()
    with pytest.raises(DerainError, match="came to nothing"):
        device.close()
    device.close()
    assert done == []


def test_as_little_memory_as_is_wanted() -> None:
    with HostDevice(memory=1000) as device:
        buffer = device.allocate(600)
        with pytest.raises(DeviceMemoryError, match="host memory has no room"):
            device.allocate(401)
        device.allocate(400)
        assert device.free_memory() == 0
        buffer.free()
        assert device.free_memory() == 600
