"""What a runtime refuses, a card that fails or has no room, and an engine that is closed in the midst."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx_models
import pytest
import trt_run_fake
from trt_machine import Machine, noise
from trt_run_fake import FakeGpu

from derain.engines.device.seam import DeviceMemoryError
from derain.engines.errors import DerainError, MemoryShortError
from derain.engines.trt_shapes import KEPT_SHAPES
from derain.pipeline.restore import Restorer

FAILING = (
    *("Runtime", "deserialize_cuda_engine", "create_execution_context", "set_optimization_profile_async"),
    *("set_input_shape", "infer_shapes", "get_tensor_shape", "set_tensor_address", "execute_async_v3"),
)
FAILING_IN_RTX = ("create_runtime_config", "create_runtime_cache", "set_runtime_cache")


@pytest.mark.parametrize("name", FAILING)
def test_whatever_the_runtime_refuses_is_told_and_leaves_nothing_behind(
    machine: Machine, name: str, tmp_path: Path
) -> None:
    refused(machine, name, onnx_models.identity(tmp_path))


@pytest.mark.parametrize("name", FAILING_IN_RTX)
@pytest.mark.parametrize("machine", ["tensorrt_rtx"], indirect=True)
def test_so_is_what_rtx_alone_is_asked(machine: Machine, name: str, tmp_path: Path) -> None:
    refused(machine, name, onnx_models.identity(tmp_path))


def refused(machine: Machine, name: str, path: Path) -> None:
    """`name` answers False or None; then no more."""
    batch = noise((1, 4, 4, 3))
    machine.package.fails = {name: 0}
    with pytest.raises(DerainError) as caught:
        machine.opened(path).infer(batch)
    assert "\n" not in str(caught.value) and not isinstance(caught.value, MemoryShortError)
    machine.package.fails = {}
    engine = machine.engines[-1] if machine.engines else machine.opened(path)
    assert np.array_equal(engine.infer(batch), batch), "it lives on"


@pytest.mark.parametrize("name", ["set_tensor_address", "execute_async_v3"])
def test_a_refusal_in_the_midst_costs_that_batch_alone(machine: Machine, name: str, tmp_path: Path) -> None:
    engine = machine.opened(
        onnx_models.recurrent(tmp_path) if name == "set_tensor_address" else onnx_models.identity(tmp_path)
    )
    batch = noise((1, 8, 8, 3))
    if engine.states:
        held = engine.hold(1, 8, 8)
        first = held.infer(batch)
        machine.package.fails = {name: 1}
        other = engine.hold(1, 8, 8)
        with pytest.raises(DerainError, match=r"did not take the address of \w+: it will not"):
            other.infer(batch)
        machine.package.fails = {}
        assert np.array_equal(other.infer(batch), first)
        return
    tickets = [engine.start(batch) for _ in range(2)]
    machine.package.fails = {name: 0}
    with pytest.raises(DerainError, match="did not take the work on a batch: it will not"):
        engine.start(batch)
    assert not any(stream._pieces for stream in machine.gpu._host.streams.values()), "nothing is left in them"
    machine.package.fails = {}
    assert all(np.array_equal(ticket.wait(), batch) for ticket in (*tickets, engine.start(batch)))


def test_work_that_fails_on_the_card_is_told_to_each_that_waits(machine: Machine, tmp_path: Path) -> None:
    engine = machine.opened(onnx_models.identity(tmp_path))
    batch = noise((1, 4, 4, 3))
    engine.infer(batch)
    tickets = [engine.start(batch) for _ in range(2)]
    through = next(handle for what, handle in machine.gpu.told if what == "execute")

    def fail() -> None:
        raise DerainError("an illegal address was met")

    machine.gpu.put(through, fail)
    tickets.append(engine.start(batch))
    assert all(np.array_equal(ticket.wait(), batch) for ticket in tickets[:2])
    for _ in range(2):
        with pytest.raises(DerainError, match="an illegal address"):
            tickets[2].wait()
    with pytest.raises(DerainError, match="an illegal address"):
        engine.infer(batch)
    engine.close()
    machine.gpu.given.clear()  # a card that failed takes nothing back


def test_after_close_no_stream_is_used(machine: Machine, tmp_path: Path) -> None:
    engine = machine.opened(onnx_models.recurrent(tmp_path))
    other = machine.opened(onnx_models.identity(tmp_path))
    held = engine.hold(1, 8, 8)
    held.infer(noise((1, 8, 8, 3)))
    tickets = [other.start(noise((1, 4, 4, 3))) for _ in range(2)]
    for one in (engine, other):
        one.close()
        one.close()
    calls = len(machine.package.calls)
    for ticket in tickets:
        with pytest.raises(DerainError, match="'identity' was closed with this in flight"):
            ticket.wait()
    again: Callable[[], object] = partial(held.infer, noise((1, 8, 8, 3)))
    for use in (again, held.turn, held.reset, held.read):
        with pytest.raises(DerainError, match="these states are closed"):
            use()
    held.close()
    with pytest.raises(DerainError, match="engine of the model 'identity' is closed"):
        other.infer(noise((1, 4, 4, 3)))
    with pytest.raises(DerainError, match="engine of the model 'identity' is closed"):
        other.start(noise((1, 4, 4, 3)))
    with pytest.raises(DerainError, match="is closed"):
        engine.hold(1, 8, 8)
    assert len(machine.package.calls) == calls


MESSAGES = (
    "[defaultAllocator.cpp::allocateAsync::76] Error Code 1: Cuda Runtime (out of memory)",
    "Error Code 2: OutOfMemory (Requested size was 9000000000 bytes.)",
)


@pytest.mark.parametrize("why", MESSAGES)
@pytest.mark.parametrize("name", ["deserialize_cuda_engine", "create_execution_context", "execute_async_v3"])
def test_a_runtime_without_memory_says_so_in_a_way_of_its_own(
    machine: Machine, name: str, why: str, tmp_path: Path
) -> None:
    machine.package.fails, machine.package.why = {name: 0}, why
    with pytest.raises(DeviceMemoryError, match="there is not enough memory on the device"):
        machine.opened(onnx_models.identity(tmp_path)).infer(noise((1, 4, 4, 3)))


def test_what_could_not_be_computed_leaves_its_memory_to_less(machine: Machine, tmp_path: Path) -> None:
    """The one before it was in flight, and is none the worse."""
    engine = machine.opened(onnx_models.identity(tmp_path))
    batch = noise((1, 64, 64, 3))
    before = engine.start(batch)
    machine.package.fails, machine.package.why = {"execute_async_v3": 0}, MESSAGES[0]
    with pytest.raises(DeviceMemoryError):
        engine.start(batch)
    assert not machine.gpu.buffers
    assert np.array_equal(before.wait(), batch)
    machine.package.fails = {}
    assert np.array_equal(engine.infer(batch), batch)


def test_a_driver_that_is_too_old_is_told(machine: Machine, tmp_path: Path) -> None:
    machine.package.fails = {"deserialize_cuda_engine": 0}
    machine.package.why = "CUDA initialization failure with error: 35. Please check your CUDA installation"
    with pytest.raises(DerainError, match="can't load the plan: there is no NVIDIA driver, or it is too old"):
        machine.opened(onnx_models.identity(tmp_path))


def need(side: int) -> int:
    """Bytes of device memory that one lane of identity's takes for frames of that size."""
    return side * side * (3 + 3 + trt_run_fake.SCRATCH)


def test_little_memory_holds_fewer_in_flight(full: Machine, tmp_path: Path) -> None:
    full.package.make = lambda: FakeGpu(memory=need(64) + 7 * 64 * 64)
    engine = full.opened(onnx_models.identity(tmp_path))
    batches = [noise((1, 64, 64, 3), seed=seed) for seed in range(4)]
    tickets = [engine.start(batch) for batch in batches]
    assert engine.in_flight == 2
    assert all(np.array_equal(ticket.wait(), batch) for ticket, batch in zip(tickets, batches, strict=True))
    engine.close()


def test_other_shapes_make_room_and_then_the_tiles_are_smaller(
    full: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    full.package.make = lambda: FakeGpu(memory=need(64))
    engine = full.opened(onnx_models.identity(tmp_path))
    for side in (32, 64, 32):
        batch = noise((1, side, side, 3))
        assert np.array_equal(engine.infer(batch), batch)
    with pytest.raises(DeviceMemoryError):
        engine.infer(noise((1, 96, 96, 3)))
    frame = noise((96, 96, 3))
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(Restorer(engine)(frame), frame)
    assert "the memory ran short: going on with tiles of 48 pixels instead of 96" in caplog.text
    assert np.array_equal(Restorer(engine).start(frame).wait(), frame)
    engine.close()


def test_shapes_that_were_not_used_for_longest_go(machine: Machine, tmp_path: Path) -> None:
    engine = machine.opened(onnx_models.identity(tmp_path))
    for _ in range(2):
        for side in range(1, KEPT_SHAPES + 3):
            batch = noise((1, side, side, 3))
            assert np.array_equal(engine.infer(batch), batch)
    assert machine.count("create_execution_context") == 2 * (KEPT_SHAPES + 2)
    assert len(machine.gpu.buffers) == 3 * KEPT_SHAPES
