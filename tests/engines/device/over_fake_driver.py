"""What only a driver of our own can show: every function's failure, and that nothing is left over.

`test_drivers.py` runs this in a process over it.
"""

import ctypes
import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from devices import UNDER_TEST, FakeDriver

from derain.engines.device.opening import open_device, refusal
from derain.engines.device.seam import Buffer, Device, DeviceMemoryError, HostArray, Stream
from derain.engines.errors import DerainError, UsageError

OUT_OF_MEMORY, NO_DEVICE, LAUNCH_FAILED = 2, 100, 719
WARNED = {"cuMemFree", "cuStreamDestroy", "cuEventDestroy", "cuDevicePrimaryCtxRelease"}
"""Where these fail pycuda writes a warning and goes on."""
RELEASING = {*WARNED, "cuMemHostUnregister", "cuGraphDestroy", "cuGraphExecDestroy"}
"""Where these fail something stays."""
ENDING = {"cuCtxPushCurrent", "cuCtxPopCurrent"}
"""Where these fail pycuda ends the process."""


@pytest.fixture
def fake() -> Iterator[FakeDriver]:
    driver = FakeDriver()
    driver.reset()
    yield driver
    driver.fail("", 0)
    gc.collect()  # pycuda's objects end while there is what they belong to
    driver.reset()


def tour() -> None:
    """Everything that a device does."""
    with open_device(UNDER_TEST) as device:
        device.free_memory()
        array = device.pinned((4,), np.uint8)
        first, second = device.event(timing=True), device.event(timing=True)
        buffer, stream = device.allocate(4), device.stream()
        stream.record(first)
        stream.wait(first)
        put_in(device, array, buffer, stream)
        if device.graphs:
            stream.begin_capture()
            put_in(device, array, buffer, stream)
            stream.end_capture().launch(stream)
        stream.record(second)
        while not second.done():
            pass
        second.synchronize()
        second.milliseconds_since(first)
        stream.synchronize()


def put_in(device: Device, array: HostArray, buffer: Buffer, stream: Stream) -> None:
    device.upload(array, buffer, stream)
    device.zero(buffer, stream)
    device.copy(buffer, buffer, 4, stream)
    device.download(buffer, array, stream)


def called() -> list[str]:
    """The driver's functions that the tour calls."""
    driver = FakeDriver()
    driver.reset()
    tour()
    return driver.called()


CALLED = called()


def test_the_tour_comes_past_what_matters() -> None:
    graphs = {"cuGraphInstantiate", "cuGraphLaunch", "cuGraphDestroy", "cuGraphExecDestroy"}
    plain = {"cuMemAlloc", "cuMemHostRegister", "cuStreamCreate", "cuEventCreate", *RELEASING} - graphs
    assert plain <= set(CALLED)
    assert (graphs <= set(CALLED)) is (UNDER_TEST == "cuda")


@pytest.mark.parametrize("name", CALLED)
def test_a_call_that_fails_is_named_and_leaves_nothing_over(name: str, fake: FakeDriver) -> None:
    if UNDER_TEST == "pycuda" and name in WARNED | ENDING:
        pytest.skip("pycuda raises nothing")
    fake.fail(name, LAUNCH_FAILED)
    with pytest.raises(DerainError, match=f"{name} failed"):
        tour()
    if name not in RELEASING | ENDING:
        assert fake.alive() == 0
        assert not fake.complaint()


CREATING: list[tuple[str, Callable[[Device], object]]] = [
    ("cuMemAlloc", lambda device: device.allocate(4)),
    ("cuMemHostRegister", lambda device: device.pinned((4,), np.uint8)),
    ("cuStreamCreate", lambda device: device.stream()),
    ("cuEventCreate", lambda device: device.event()),
]


@pytest.mark.parametrize(("name", "create"), CREATING)
def test_no_room_is_told_apart(name: str, create: Callable[[Device], object], fake: FakeDriver) -> None:
    with open_device(UNDER_TEST) as device:
        fake.fail(name, OUT_OF_MEMORY)
        with pytest.raises(DeviceMemoryError, match=name):
            create(device)
        fake.fail("", 0)
        create(device)
    assert fake.alive() == 0


def test_what_went_wrong_first_is_what_is_raised(fake: FakeDriver) -> None:
    with pytest.raises(UsageError, match="mine"), open_device(UNDER_TEST) as device:
        device.stream()
        fake.fail("cuStreamSynchronize", LAUNCH_FAILED)
        raise UsageError("mine")
    assert fake.alive() == 0


def test_a_capture_that_came_to_nothing_leaves_the_stream_usable(fake: FakeDriver) -> None:
    with open_device(UNDER_TEST) as device:
        if not device.graphs:
            pytest.skip("no graphs")
        stream, buffer = device.stream(), device.allocate(4)
        stream.begin_capture()
        with pytest.raises(DerainError, match="cuMemAlloc"):
            device.allocate(4)
        stream.end_capture().close()
        device.zero(buffer, stream)
        stream.synchronize()
    assert fake.alive() == 0


def test_the_fake_driver_notices_a_stream_used_after_it_was_closed(fake: FakeDriver) -> None:
    with open_device(UNDER_TEST) as device:
        buffer, stream = device.allocate(4), device.stream()
        handle = ctypes.c_void_p(stream.handle)
        stream.close()
        assert not fake.complaint()
        with device.current():
            set_bytes = ctypes.CDLL("libcuda.so.1").cuMemsetD8Async
            set_bytes(ctypes.c_uint64(buffer.pointer), ctypes.c_ubyte(0), ctypes.c_size_t(4), handle)
    assert "not a stream" in fake.complaint()


def test_what_the_driver_says_is_said() -> None:
    driver = FakeDriver()
    driver.fail("cuInit", NO_DEVICE)
    assert "cuInit failed" in refusal(UNDER_TEST)
    with pytest.raises(UsageError, match=r"no GPU can be used here .*cuInit failed"):
        open_device()
    driver.reset()
    assert refusal(UNDER_TEST) == ""


def test_a_device_has_its_own_facts(fake: FakeDriver) -> None:
    with open_device(UNDER_TEST, 1) as device:
        assert (device.facts.name, device.facts.capability) == ("Fake GPU 1", (8, 9))
        assert device.facts.driver == (13, 1)
    with pytest.raises(UsageError, match=f"no device 2: {UNDER_TEST} has 2 here"):
        open_device(UNDER_TEST, 2)


def test_auto_takes_what_has_graphs(fake: FakeDriver) -> None:
    with open_device() as device:
        assert device.graphs or refusal("cuda")
