"""The backend torch_cuda: what the others compute, on the CPU and, where there is one, on a GPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
import torch
from fake_cuda import FakeTorch
from on_cuda import needs_cuda
from onnx import helper, numpy_helper

from derain.engines import models, selfcheck, torch_cuda
from derain.engines.device import opening
from derain.engines.device.host import HostDevice
from derain.engines.engine import Engine, EngineOptions, Pixels, State
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.flight import HeldInFlight, Holder, InFlight
from derain.engines.modelfile import open_model
from derain.engines.on_device import OnDevice
from derain.engines.registry import open_engine
from derain.engines.torch_cuda import InductorEngine, TorchEngine, opened

pytestmark = pytest.mark.usefixtures("one_thread")
SHIPPED = [path.stem for path in models.shipped()]


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda":
        needs_cuda()
    return str(request.param)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTorch:
    made = FakeTorch()
    monkeypatch.setattr(torch_cuda, "runtime", lambda: made)
    return made


def on(device: str, path: Path, **options: Any) -> TorchEngine:
    return TorchEngine(open_model(path), EngineOptions(**({"precision": "fp32"} | options)), device)


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def zeros(engine: Engine, count: int, height: int, width: int) -> list[tuple[State, State]]:
    shapes = [spec.shape(count, height, width) for spec in engine.states]
    return [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_shipped_networks_give_what_onnx_runtime_gives(name: str, dtype: str, device: str) -> None:
    """Maps, scores and rain that is kept too; a state from frame to frame."""
    path = models.find(name)
    model = open_model(path)
    maps: dict[str, Any] = {
        "attention": model.attention,
        "scores": model.attention,
        "keep": model.card.attention[:1],
    }
    side = 2 * model.card.multiple_of
    batch = noise((2, side, 2 * side, 3), dtype)
    with (
        open_engine(path, EngineOptions("onnxruntime", "fp32", dtype=dtype, **maps)) as reference,
        on(device, path, dtype=dtype, **maps) as engine,
    ):
        both = []
        for each in (reference, engine):
            states = zeros(each, 2, side, 2 * side)
            scale = model.card.attention_scale
            scores = np.zeros((2, side // scale, 2 * side // scale), np.float32) if model.attention else None
            both.append((each.infer(batch, states=states, scores=scores), scores, states))
    (mine, my_scores, my_states), (right, scores, states) = both[1], both[0]
    assert np.abs(mine.astype(int) - right).max() <= (1 if dtype == "uint8" else 64)
    if my_scores is not None and scores is not None:
        assert np.abs(my_scores - scores).max() < 1e-4
    for one, other in zip(my_states, states, strict=True):
        assert np.abs(one[1] - other[1]).max() < 1e-4


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_halves_are_near_enough(name: str, precision: str, device: str) -> None:
    path = models.find(name)
    side = 2 * open_model(path).card.multiple_of
    with on(device, path, precision=precision) as engine, on(device, path) as reference:
        assert (engine.precision, reference.precision) == (precision, "fp32")
        found = selfcheck.check(engine, reference, (1, side, side))
    assert found.passed, found.told()
    assert found.worst.psnr is not None, "halves that change nothing are none"


def overflowing(folder: Path) -> Path:
    """A network that gives back what it gets, by way of values that fp16 has no room for."""
    weights = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    nodes = [
        helper.make_node("Conv", ["rainy", "up"], ["large"]),
        helper.make_node("Mul", ["large", "factor"], ["larger"]),
        helper.make_node("Mul", ["larger", "down"], ["small"]),
        helper.make_node("Conv", ["small", "ones"], ["restored"]),
    ]
    values = {"up": weights * 256, "ones": weights, "factor": np.float32(4096), "down": np.float32(2**-20)}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    return onnx_models.save(onnx_models.make(nodes, tensors), folder, onnx_models.CARD)


def test_where_fp16_overflows_auto_takes_fp32_and_says_so(
    tmp_path: Path, device: str, caplog: pytest.LogCaptureFixture
) -> None:
    batch = noise((1, 16, 16, 3))
    with opened(open_model(overflowing(tmp_path)), EngineOptions(), device) as engine:
        assert engine.precision == "fp32"
        assert "fp16 is too far off" in engine.precision_reason
        assert np.array_equal(engine.infer(batch), batch)
    assert "runs in fp32: fp16 is too far from it" in caplog.text


def test_auto_takes_fp16_where_it_is_near(tmp_path: Path, device: str) -> None:
    path = onnx_models.unshuffle(tmp_path, factor=4, layers=3)
    with opened(open_model(path), EngineOptions(), device) as engine:
        assert engine.precision == "fp16"
        assert engine.precision_reason.startswith("the fastest on a GPU; ")


def quantised(folder: Path) -> Path:
    """A convolution between Q/DQ nodes, as INT8 files have them: scales by channel for the weights."""
    weights = np.random.default_rng(0).integers(-127, 128, (3, 3, 3, 3), np.int8)
    values = {
        "weights": weights,
        "scales": np.array([0.001, 0.002, 0.0005], np.float32),
        "zeros": np.zeros(3, np.int8),
        "scale": np.float32(1 / 127),
        "zero": np.int8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["rainy", "scale", "zero"], ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["floats"], axis=0),
        helper.make_node("Conv", ["rounded", "floats"], ["restored"], pads=[1] * 4),
    ]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    model = onnx_models.make(nodes, tensors)
    return onnx_models.save(model, folder, replace(onnx_models.CARD, precision="int8"))


def test_an_int8_file_runs_as_it_is_rounded(tmp_path: Path, device: str) -> None:
    path, batch = quantised(tmp_path), noise((1, 12, 20, 3))
    with (
        on(device, path, precision="auto") as engine,
        open_engine(path, EngineOptions("onnxruntime")) as other,
    ):
        assert engine.precision == "int8"
        assert np.abs(engine.infer(batch).astype(int) - other.infer(batch)).max() <= 1


def test_states_that_it_holds_are_those_that_it_is_given(tmp_path: Path, device: str) -> None:
    path = onnx_models.recurrent(tmp_path)
    with on(device, path) as engine:
        assert isinstance(engine, Holder)
        states, held = zeros(engine, 2, 8, 12), engine.hold(2, 8, 12)
        for seed in range(3):
            batch = noise((2, 8, 12, 3), seed=seed)
            right = engine.infer(batch, states=states)
            assert np.array_equal(held.infer(batch), right)
            assert np.array_equal(held.infer(batch), right), "nothing is remembered before its turn"
            states = [(written, read) for read, written in states]
            held.turn()
            for mine, (read, _) in zip(held.read(), states, strict=True):
                assert np.array_equal(mine, read)
        other = engine.hold(2, 8, 12)
        other.write(held.read())
        assert np.array_equal(other.infer(batch), held.infer(batch))
        held.reset()
        assert not any(state.any() for state in held.read())
        with pytest.raises(DerainError, match=r"for states of 2 frames of 12x8"):
            held.infer(noise((1, 8, 12, 3)))
    with pytest.raises(DerainError, match="were let go"):
        held.infer(batch)


def check_frames_begun_before_those_before_them_are_given(path: Path, device: str) -> None:
    frames = [noise((1, 8, 12, 3), seed=seed) for seed in range(6)]
    with on(device, path) as engine:
        held, again = engine.hold(1, 8, 12), engine.hold(1, 8, 12)
        assert isinstance(held, HeldInFlight)
        tickets = [held.start(frame) for frame in frames[:3]]
        held.reset()
        tickets += [held.start(frame) for frame in frames[3:]]
        for number, (frame, ticket) in enumerate(zip(frames, tickets, strict=True)):
            if number == 3:
                again.reset()
            right = again.infer(frame)
            again.turn()
            assert np.array_equal(ticket.wait(), right)


def test_frames_that_follow_one_another_are_in_flight_together(tmp_path: Path, device: str) -> None:
    check_frames_begun_before_those_before_them_are_given(onnx_models.recurrent(tmp_path), device)


def test_states_are_changed_in_the_order_of_the_graphs(tmp_path: Path, fake: FakeTorch) -> None:
    """On the stream that the graphs are launched in: no other waits for it."""
    check_frames_begun_before_those_before_them_are_given(onnx_models.recurrent(tmp_path), "cuda")
    with on("cuda", onnx_models.recurrent(tmp_path)) as engine:
        held = engine.hold(1, 8, 12)
        for change in (held.reset, held.read, lambda: held.write(held.read())):
            fake.cuda.said.clear()
            change()
            assert fake.cuda.said and set(fake.cuda.said) == {"within compute"}


def test_batches_come_in_the_order_of_their_starts(tmp_path: Path, device: str) -> None:
    batches = [noise((1, 8, 8 + 8 * (seed % 2), 3), seed=seed) for seed in range(8)]
    with on(device, onnx_models.identity(tmp_path)) as engine:
        assert isinstance(engine, InFlight)
        tickets = [engine.start(batch.copy()) for batch in batches]
        for ticket, batch in zip(tickets, batches, strict=True):
            assert np.array_equal(ticket.wait(), batch)
            assert np.array_equal(ticket.wait(), batch)


@pytest.mark.slow
def test_inductor_gives_the_same(tmp_path: Path, device: str) -> None:
    """On the CPU it takes its time: of a small network."""
    path = models.find(SHIPPED[0]) if device == "cuda" else onnx_models.unshuffle(tmp_path, factor=4)
    side = 2 * open_model(path).card.multiple_of
    batch = noise((1, side, side, 3))
    options = EngineOptions(precision="fp32")
    with InductorEngine(open_model(path), options, device) as engine, on(device, path) as reference:
        assert engine.backend == "torch_inductor"
        assert np.abs(engine.infer(batch).astype(int) - reference.infer(batch)).max() <= 1


def test_a_graph_is_captured_once_a_shape_and_launched_for_each_batch(
    tmp_path: Path, fake: FakeTorch
) -> None:
    path = onnx_models.unshuffle(tmp_path, factor=4)
    batches = [noise((1, 8, 8, 3), seed=seed) for seed in range(5)]
    with on("cuda", path) as engine, open_engine(path, EngineOptions("onnxruntime")) as other:
        for batch in batches:
            assert np.abs(engine.infer(batch).astype(int) - other.infer(batch)).max() <= 1
        assert [graph.launches for graph in fake.cuda.graphs] == [5]
        engine.infer(noise((2, 8, 8, 3)))
        assert [graph.launches for graph in fake.cuda.graphs] == [5, 1]
        assert engine.in_flight == 3


def test_each_stream_waits_for_the_one_before_it(tmp_path: Path, fake: FakeTorch) -> None:
    with on("cuda", onnx_models.identity(tmp_path)) as engine:
        engine.infer(noise((1, 8, 8, 3)))
        fake.cuda.said.clear()
        engine.start(noise((1, 8, 8, 3)))
        said = [line.split() for line in fake.cuda.said if not line.startswith("within")]
    uploaded, idle, computed = said[0][2], said[2][2], said[4][2]
    assert [" ".join(line[:2]) for line in said[:7]] == [
        *("up records", "compute waits", "compute waits"),
        *("compute records", "compute records", "down waits", "down records"),
    ]
    assert [line[2] for line in said[:6]] == [uploaded, uploaded, idle, idle, computed, computed]
    assert len({uploaded, idle, computed}) == 3


def check_pictures_on_the_card(engine: TorchEngine, dtype: str, fake: FakeTorch | None = None) -> None:
    batch = noise((1, 8, 12, 3), dtype)
    cells, right = np.zeros((1, 2, 3), np.float32), np.zeros((1, 2, 3), np.float32)
    assert isinstance(engine, OnDevice)
    expected, device, restored = engine.infer(batch, scores=right), engine.device, np.zeros_like(batch)
    buffers = [device.allocate(size) for size in (batch.nbytes, batch.nbytes, cells.nbytes)]
    stream = device.stream()
    device.upload(batch, buffers[0], stream)
    stream.synchronize()
    if fake is not None:
        fake.cuda.said.clear()
    engine.enqueue(buffers[0], buffers[1], (1, 8, 12), stream, buffers[2])
    if fake is not None:
        told = [" ".join(line.split()[:-1]) for line in fake.cuda.said]
        assert told == ["within stream", f"stream {stream.handle} waits", f"stream {stream.handle} records"]
    device.download(buffers[1], restored, stream)
    device.download(buffers[2], cells, stream)
    stream.synchronize()
    assert np.array_equal(restored, expected) and np.array_equal(cells, right)
    with pytest.raises(DerainError, match="a buffer of 24 bytes, where"):
        engine.enqueue(buffers[2], buffers[1], (1, 8, 12), stream)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pictures_on_the_card_are_restored_there(
    tmp_path: Path, fake: FakeTorch, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """In the caller's stream, which waits for launches before it and is waited for by those after it."""
    device = HostDevice()
    monkeypatch.setattr(opening, "unavailable", lambda: "")
    monkeypatch.setattr(opening, "open_device", lambda: device)
    options = EngineOptions(precision="fp32", dtype=dtype, scores=True)
    with opened(open_model(onnx_models.mapped(tmp_path)), options) as engine:
        check_pictures_on_the_card(engine, dtype, fake)
    with pytest.raises(DerainError):
        device.stream()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pictures_on_a_real_card_are_restored_there(tmp_path: Path, dtype: str) -> None:
    needs_cuda()
    if reason := opening.unavailable():
        pytest.skip(reason)
    options = EngineOptions(precision="fp32", dtype=dtype, scores=True)
    with opened(open_model(onnx_models.mapped(tmp_path)), options) as engine:
        check_pictures_on_the_card(engine, dtype)


def test_a_batch_nobody_waits_for_makes_room_for_those_after_it(tmp_path: Path, fake: FakeTorch) -> None:
    batches = [noise((1, 8, 8, 3), seed=seed) for seed in range(10)]
    with on("cuda", onnx_models.identity(tmp_path)) as engine:
        tickets = [engine.start(batch) for batch in batches]
        assert np.array_equal(tickets[-1].wait(), batches[-1])
        assert np.array_equal(tickets[0].wait(), batches[0])


def test_what_is_in_flight_when_it_is_closed_is_lost(tmp_path: Path, fake: FakeTorch) -> None:
    engine = on("cuda", onnx_models.identity(tmp_path))
    done, lost = engine.start(noise((1, 8, 8, 3))), engine.start(noise((1, 8, 8, 3)))
    first = done.wait()
    engine.close()
    assert done.wait() is first
    with pytest.raises(DerainError, match="was closed meanwhile"):
        lost.wait()


def test_where_memory_runs_short_other_shapes_give_way(tmp_path: Path, fake: FakeTorch) -> None:
    with on("cuda", onnx_models.identity(tmp_path)) as engine:
        ticket = engine.start(noise((1, 8, 8, 3)))
        fake.cuda.room = 0
        with pytest.raises(
            MemoryShortError, match=r"restoring a batch of shape \(1, 16, 16, 3\) .* not enough memory"
        ):
            engine.infer(noise((1, 16, 16, 3)))
        assert np.array_equal(ticket.wait(), noise((1, 8, 8, 3))), "what was in flight is given first"
        fake.cuda.room = 1
        assert np.array_equal(engine.infer(noise((1, 8, 8, 3), seed=2)), noise((1, 8, 8, 3), seed=2))


def test_precisions_of_a_card_are_told(tmp_path: Path, fake: FakeTorch) -> None:
    with pytest.raises(
        UsageError, match=r"torch_cuda can't run in precision 'fp8' .*takes auto, fp16, bf16, fp32"
    ):
        on("cuda", onnx_models.identity(tmp_path), precision="fp8")


def test_it_computes_in_fp32_not_tf32_and_leaves_torch_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn: Any = torch.backends.cudnn
    seen: list[Any] = []
    before = cudnn.conv.fp32_precision, cudnn.deterministic
    convolve = torch.nn.functional.conv2d

    def looking(*given: Any, **more: Any) -> Any:
        seen.append((cudnn.conv.fp32_precision, cudnn.deterministic))
        return convolve(*given, **more)

    monkeypatch.setattr(torch.nn.functional, "conv2d", looking)
    with on("cpu", onnx_models.conv(tmp_path)) as engine:
        engine.infer(noise((1, 8, 8, 3)))
    assert set(seen) == {("ieee", True)}
    assert (cudnn.conv.fp32_precision, cudnn.deterministic) == before
