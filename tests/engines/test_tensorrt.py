"""Plans at work, by a runtime of plain Python that keeps what is asked of it, on a card of host memory."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx_models
import pytest
import trt_run_fake
from trt_machine import RTX_VERSION, Machine, near, noise, on_cpu
from trt_run_fake import FakeGpu, Graphs, Specialization
from trt_surface import RTX_ONLY, VERSIONS, missing, surface, used_of_the_package

from derain.engines import trt_context
from derain.engines.device.seam import Buffer
from derain.engines.engine import Pixels
from derain.engines.errors import DerainError
from derain.engines.flight import Holder, InFlight
from derain.engines.on_device import OnDevice
from derain.engines.trt_shapes import FLIGHT, KEPT_ADDRESSES
from derain.pipeline.restore import Restorer


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_value_comes_back_in_its_place(machine: Machine, dtype: str, tmp_path: Path) -> None:
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    batch = np.stack([values, values[::-1], np.roll(values, 7)], axis=-1).reshape(1, 16, -1, 3)
    engine = machine.opened(onnx_models.identity(tmp_path), dtype=dtype)
    assert (engine.backend, engine.precision) == (machine.backend, "fp32")
    assert np.array_equal(engine.infer(batch), batch)
    out = np.empty_like(batch)
    assert engine.infer(batch[:, ::-1], out) is out and np.array_equal(out, batch[:, ::-1])


def test_any_shape_equals_the_cpu_with_maps_and_scores(machine: Machine, tmp_path: Path) -> None:
    path = onnx_models.mapped(tmp_path)
    engine = machine.opened(path, attention=True, scores=True)
    with on_cpu(path, attention=True, scores=True) as cpu:
        for shape in [(1, 8, 12, 3), (3, 4, 4, 3), (1, 8, 12, 3), (2, 20, 8, 3)]:
            count, height, width, _ = shape
            mine, right = (np.zeros((count, height // 4, width // 4), np.float32) for _ in range(2))
            assert near(engine.infer(noise(shape), scores=mine), cpu.infer(noise(shape), scores=right))
            assert np.allclose(mine, right, atol=1e-5) and right.any()


def test_what_it_can_not_take_is_refused_before_the_device(machine: Machine, tmp_path: Path) -> None:
    engine = machine.opened(onnx_models.unshuffle(tmp_path, factor=4))
    calls = len(machine.package.calls)
    with pytest.raises(DerainError, match="multiples of 4"):
        engine.start(noise((1, 4, 6, 3)))
    with pytest.raises(DerainError, match="got uint16 pixels"):
        engine.infer(noise((1, 4, 4, 3), "uint16"))
    assert len(machine.package.calls) == calls


def test_each_way_has_a_stream_of_its_own_and_none_is_the_default(machine: Machine, tmp_path: Path) -> None:
    engine = machine.opened(onnx_models.identity(tmp_path))
    for _ in range(2):
        engine.infer(noise((1, 4, 4, 3)))
    told = machine.gpu.told
    ways = {what: {handle for name, handle in told if name == what} for what, _ in told}
    assert [what for what, _ in told[:3]] == ["upload", "execute", "download"]
    assert [len(handles) for handles in ways.values()] == [1, 1, 1]
    assert len(set.union(*ways.values())) == 3 and 0 not in set.union(*ways.values())


def test_a_batch_goes_up_and_one_comes_down_while_one_is_computed(machine: Machine, tmp_path: Path) -> None:
    """The card does nothing before somebody waits: so three batches are put in and none is waited for."""
    engine = machine.opened(onnx_models.identity(tmp_path))
    assert isinstance(engine, InFlight) and engine.in_flight == FLIGHT
    batches = [noise((1, 4, 4, 3), seed=seed) for seed in range(FLIGHT)]
    given = [batch.copy() for batch in batches]
    outs = [np.zeros_like(batch) for batch in batches]
    tickets = [engine.start(batch, out) for batch, out in zip(given, outs, strict=True)]
    for batch in given:
        batch[...] = 0  # it is free again
    assert not any(out.any() for out in outs)
    assert [what for what, _ in machine.gpu.told] == ["upload", "execute", "download"] * FLIGHT
    run = [call for call in machine.package.calls if call[0] == "execute_async_v3"]
    places = [place for call in run for place in call[2].values()]
    assert len(set(places)) == 2 * FLIGHT, "each in flight has buffers of its own"
    assert tickets[-1].wait() is outs[-1]
    assert all(np.array_equal(out, batch) for out, batch in zip(outs, batches, strict=True))
    assert tickets[0].wait() is outs[0], "and may be asked again"


def test_one_more_than_it_holds_waits_for_the_first(machine: Machine, tmp_path: Path) -> None:
    engine = machine.opened(onnx_models.identity(tmp_path))
    batches = [noise((1, 4, 4, 3), seed=seed) for seed in range(5)]
    outs = [np.zeros_like(batch) for batch in batches]
    tickets = [engine.start(batch, out) for batch, out in zip(batches, outs, strict=True)]
    assert [bool(out.any()) for out in outs] == [True, True, False, False, False]
    other = noise((2, 6, 8, 3))
    assert np.array_equal(engine.infer(other), other), "another shape between them"
    assert all(np.array_equal(t.wait(), batch) for t, batch in zip(tickets, batches, strict=True))


def test_a_shape_is_captured_as_a_graph_at_its_second_batch(full: Machine, tmp_path: Path) -> None:
    engine = full.opened(onnx_models.identity(tmp_path))
    for seed in range(6):
        batch = noise((1, 4, 4, 3), seed=seed)
        assert np.array_equal(engine.infer(batch), batch)
    run = [call for call in full.package.calls if call[0] == "execute_async_v3"]
    assert [call[3] for call in run] == [False, True], "once, once more to capture it, and no more"
    for seed in range(7):  # each lane has its own
        batches = [noise((1, 4, 4, 3), seed=seed + n) for n in range(FLIGHT)]
        tickets = [engine.start(batch) for batch in batches]
        assert all(np.array_equal(t.wait(), batch) for t, batch in zip(tickets, batches, strict=True))
    assert full.count("execute_async_v3") == 2 * FLIGHT
    engine.close()


@pytest.mark.parametrize("why", ["no graphs here", "not in a capture"])
def test_without_graphs_it_runs_all_the_same(
    full: Machine, tmp_path: Path, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    full.package.make = lambda: FakeGpu(graphs=why != "no graphs here")
    full.package.refuses_capture, full.package.why = True, why
    engine = full.opened(onnx_models.identity(tmp_path))
    for seed in range(4):
        batch = noise((1, 4, 4, 3), seed=seed)
        assert np.array_equal(engine.infer(batch), batch)
    assert full.count("execute_async_v3") == 4
    told = [record.message for record in caplog.records if "graph" in record.message]
    assert len(told) == (why == "not in a capture") and all(why in line for line in told)
    engine.close()


def test_rtx_makes_its_own_graphs_and_keeps_its_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = trt_run_fake.attach(monkeypatch, RTX_VERSION)
    machine = Machine("tensorrt_rtx", package, tmp_path / "cache")
    path = onnx_models.identity(tmp_path)
    for run, kernels in enumerate([[], ["kept"], ["kept"]]):
        if run == 2:
            package.fails = {"cache.deserialize": 0}
        engine = machine.opened(path)
        for _ in range(3):
            engine.infer(noise((1, 4, 4, 3)))
        config = package.contexts[-1].config
        assert config is not None and config.cache is not None
        assert config.cuda_graph_strategy is Graphs.WHOLE_GRAPH_CAPTURE
        assert config.dynamic_shapes_kernel_specialization_strategy is Specialization.EAGER
        assert package.count("cache.deserialize") == run
        engine.close()
        assert bool(kernels) == bool(run)
    run_calls = [call for call in package.calls if call[0] == "execute_async_v3"]
    assert len(run_calls) == 9 and not any(call[3] for call in run_calls)
    assert package.count("build_plan") == 1


def test_batches_that_lie_on_the_card_are_restored_there(machine: Machine, tmp_path: Path) -> None:
    """Two in streams of their own, neither waited for; nothing of them crosses but what the test sends."""
    path = onnx_models.mapped(tmp_path)
    engine = machine.opened(path, scores=True)
    assert isinstance(engine, OnDevice)
    gpu, batches = engine.device, [noise((2, 8, 12, 3), seed=seed) for seed in range(2)]
    work = [(gpu.stream(), gpu.allocate(600), gpu.allocate(576), batch) for batch in batches]
    for stream, rainy, restored, batch in work:
        gpu.upload(batch, rainy, stream)
        engine.enqueue(rainy, restored, (2, 8, 12), stream)
    assert np.array_equal(engine.infer(batches[0]), engine.infer(batches[0])), "beside those of the host"
    with on_cpu(path) as cpu:
        for stream, _, restored, batch in reversed(work):
            out = np.zeros_like(batch)
            gpu.download(restored, out, stream)
            stream.synchronize()
            assert near(out, cpu.infer(batch))
    first, second = (rainy.pointer for _, rainy, _, _ in work)
    assert [place for place in machine.package.done if place in (first, second)] == [first, second]
    stream, rainy, restored, batch = work[0]
    cells, expected = np.zeros((2, 2, 3), np.float32), np.zeros((2, 2, 3), np.float32)
    scores = gpu.allocate(cells.nbytes)
    engine.enqueue(rainy, restored, (2, 8, 12), stream, scores)
    gpu.download(scores, cells, stream)
    stream.synchronize()
    engine.infer(batch, scores=expected)
    assert np.array_equal(cells, expected) and expected.any()
    with pytest.raises(DerainError, match="takes 72 bytes; the buffer has 48"):
        engine.enqueue(gpu.allocate(900), gpu.allocate(900), (2, 12, 12), stream, scores)
    with pytest.raises(DerainError, match="gives no scores"):
        machine.opened(path).enqueue(rainy, restored, (2, 8, 12), stream, scores)
    with pytest.raises(DerainError, match="takes 768 bytes; the buffer has 600"):
        engine.enqueue(rainy, restored, (2, 8, 16), stream)
    with pytest.raises(DerainError, match="sides that 4 divides"):
        engine.enqueue(rainy, restored, (2, 8, 15), stream)
    recurrent = machine.opened(onnx_models.recurrent(tmp_path))
    with pytest.raises(DerainError, match="remembers frames"):
        recurrent.enqueue(rainy, restored, (2, 8, 12), stream)


def test_what_comes_to_the_same_addresses_again_is_launched_as_a_graph(full: Machine, tmp_path: Path) -> None:
    """Two pairs of buffers in turns, and then more than are kept."""
    engine = full.opened(onnx_models.identity(tmp_path))
    gpu, stream = engine.device, engine.device.stream()

    def restored(rainy: Buffer, out: Buffer, seed: int) -> bool:
        batch = noise((1, 4, 4, 3), seed=seed)
        found = np.zeros_like(batch)
        gpu.upload(batch, rainy, stream)
        engine.enqueue(rainy, out, (1, 4, 4), stream)
        gpu.download(out, found, stream)
        stream.synchronize()
        return np.array_equal(found, batch)

    pairs = [(gpu.allocate(48), gpu.allocate(48)) for _ in range(KEPT_ADDRESSES + 2)]
    assert all(restored(*pairs[turn % 2], turn) for turn in range(8))
    captured = [call[3] for call in full.package.calls if call[0] == "execute_async_v3"]
    assert captured == [False, False, True, True]
    assert all(restored(*pair, seed) for seed in range(2) for pair in pairs)
    engine.close()


RUNNING = (
    trt_run_fake.Runtime,
    trt_run_fake.ICudaEngine,
    trt_run_fake.IExecutionContext,
    trt_run_fake.IRuntimeConfig,
)
OF_RTX = (
    "create_runtime_cache",
    "set_runtime_cache",
    "cuda_graph_strategy",
    "dynamic_shapes_kernel_specialization_strategy",
)


def published(kind: type, names: Callable[[str], Sequence[Sequence[str]] | None]) -> None:
    """Asserts that a class has names and arguments of the real one's alone."""
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        found = names(name)
        assert found is not None, f"there is no {kind.__name__}.{name}"
        if inspect.isfunction(member) and any(found):
            taken = list(inspect.signature(member).parameters)[1:]
            assert any(taken == list(one)[: len(taken)] for one in found), f"{kind.__name__}.{name}"


@pytest.mark.parametrize("kind", RUNNING)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_has_published_names_and_arguments_alone(kind: type, version: str) -> None:
    known = surface(version)[kind.__name__] | {name: [] for name in OF_RTX}
    published(kind, known.get)


@pytest.mark.parametrize("kind", [*RUNNING, trt_run_fake.IRuntimeCache])
def test_the_fake_has_the_names_of_the_installed_package_alone(kind: type) -> None:
    package = pytest.importorskip("tensorrt_rtx")
    published(kind, lambda name: [] if hasattr(getattr(package, kind.__name__), name) else None)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_code_names_of_the_package_is_published(version: str) -> None:
    used = [chain for chain in used_of_the_package(Path(trt_context.__file__)) if chain[0] not in RTX_ONLY]
    assert used and not [chain for chain in used if missing(version, chain)]


def frames(count: int, height: int, width: int) -> list[Pixels]:
    return list(np.random.default_rng(0).integers(200, 256, (count, height, width, 3), np.uint8))


@pytest.mark.parametrize("scores", [False, True])
def test_states_stay_on_the_card_from_frame_to_frame(machine: Machine, tmp_path: Path, scores: bool) -> None:
    """Pixels go up and come down; states cross only where a frame is restored in tiles."""
    path = onnx_models.recurrent(tmp_path, attention=scores)
    engine = machine.opened(path, scores=scores)
    assert isinstance(engine, Holder)
    restorer = Restorer(engine, sequence=True)
    with on_cpu(path, scores=scores) as cpu:
        right = Restorer(cpu, sequence=True)
        for number, frame in enumerate(frames(7, 22, 30)):
            if number == 4:
                restorer.reset()
                right.reset()
            assert near(restorer(frame), right(frame))
        crossed = [what for what, _ in machine.gpu.told if what != "execute"]
        assert crossed == ["upload", *["download"] * (1 + scores)] * 7
        tiled, right = Restorer(engine, 20, sequence=True), Restorer(cpu, sequence=True)
        assert all(near(tiled(frame), right(frame)) for frame in frames(3, 45, 30))


def test_frames_of_a_network_that_remembers_are_in_flight_too(machine: Machine, tmp_path: Path) -> None:
    """Nobody waits for any before all are begun, but the one that the card has no lane for."""
    path = onnx_models.recurrent(tmp_path)
    restorer = Restorer(machine.opened(path), sequence=True)
    assert restorer.in_flight == FLIGHT
    clip, tickets = frames(6, 22, 30), []
    for number, frame in enumerate(clip):
        if number == 4:
            restorer.reset()
        tickets.append(restorer.start(frame))
    with on_cpu(path) as cpu:
        right = Restorer(cpu, sequence=True)
        for number, (frame, ticket) in enumerate(zip(clip, tickets, strict=True)):
            if number == 4:
                right.reset()
            assert near(ticket.wait(), right(frame))
        assert near(restorer(clip[0]), right(clip[0])), "and go on one by one"
    assert len(machine.package.contexts) == FLIGHT


def test_states_are_read_and_go_with_another_size(machine: Machine, tmp_path: Path) -> None:
    path = onnx_models.recurrent(tmp_path)
    engine, batch = machine.opened(path), np.stack(frames(2, 8, 12))
    held = engine.hold(2, 8, 12)
    states = [
        (np.zeros(s.shape(2, 8, 12), np.float32), np.zeros(s.shape(2, 8, 12), np.float32))
        for s in engine.states
    ]
    with on_cpu(path) as cpu:
        for _ in range(3):
            assert near(held.infer(batch), cpu.infer(batch, states=states))
            assert near(held.infer(batch), held.infer(batch)), "again, as after a failure"
            held.turn()
            states = [(written, read) for read, written in states]
            assert all(np.allclose(mine, read) for mine, (read, _) in zip(held.read(), states, strict=True))
    with pytest.raises(DerainError, match="holds states of another"):
        held.infer(batch[:1])
    other = engine.hold(2, 8, 12)
    other.write(held.read())
    assert np.array_equal(other.infer(batch), held.infer(batch))
    other.close()
    before = len(machine.gpu.buffers)
    held.close()
    assert len(machine.gpu.buffers) == before - 2 * len(engine.states)
