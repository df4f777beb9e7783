"""What every backend does alike; each test runs once a backend."""

from pathlib import Path

import backends
import numpy as np
import onnx_models
import pytest
from onnx import helper

from derain.engines.base import failure
from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.registry import ON_CPU, open_engine

DTYPES = ("uint8", "uint16")


@pytest.fixture(params=backends.ALL)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return backends.use(request.param, monkeypatch)


def opened(path: Path, backend: str, dtype: str = "uint8") -> Engine:
    return open_engine(path, EngineOptions(backend=backend, dtype=dtype))


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> Pixels:
    peak = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, peak, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_gives_back_every_value(tmp_path: Path, backend: str, dtype: str) -> None:
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    batch = np.stack([values, values[::-1], np.roll(values, 7)], axis=-1).reshape(1, 16, -1, 3)
    with opened(onnx_models.identity(tmp_path), backend, dtype) as engine:
        restored = engine.infer(batch)
    assert restored.dtype == batch.dtype
    assert np.array_equal(restored, batch)


@pytest.mark.parametrize("dtype", DTYPES)
def test_channels_and_axes_stay_where_they_were(tmp_path: Path, backend: str, dtype: str) -> None:
    """Red is made of green of the pixel to the left; nothing else moves."""
    weights = np.zeros((3, 3, 3, 3), np.float32)
    weights[0, 1, 1, 0] = weights[1, 1, 1, 1] = weights[2, 2, 1, 1] = 1
    batch = noise((2, 6, 8, 3), dtype)
    expected = batch.copy()
    expected[:, :, 1:, 0] = batch[:, :, :-1, 1]
    expected[:, :, 0, 0] = 0
    with opened(onnx_models.conv(tmp_path, weights=weights), backend, dtype) as engine:
        assert np.array_equal(engine.infer(batch), expected)


@pytest.mark.parametrize(("dtype", "level"), [("uint8", 0.6), ("uint16", 0.6 * 257)])
def test_results_are_clipped_and_rounded(tmp_path: Path, backend: str, dtype: str, level: float) -> None:
    peak = np.iinfo(dtype).max
    weights = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    bias = np.array([level / peak, 0.5, -0.5], np.float32)
    batch = np.zeros((1, 2, 2, 3), dtype)
    batch[..., 1] = peak
    with opened(onnx_models.conv(tmp_path, weights=weights, bias=bias), backend, dtype) as engine:
        restored = engine.infer(batch)
    assert restored[0, 1, 1].tolist() == [round(level), peak, 0]


def test_backends_agree(tmp_path: Path) -> None:
    path = onnx_models.unshuffle(tmp_path, factor=4, layers=3)
    batch = noise((2, 24, 40, 3))
    results = []
    for backend in ON_CPU:
        with opened(path, backend) as engine:
            results.append(engine.infer(batch).astype(int))
    assert max(np.abs(result - results[0]).max() for result in results) <= 1


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (3, 1, 7, 3), (1, 17, 5, 3), (2, 33, 31, 3)])
def test_any_batch_and_odd_size(tmp_path: Path, backend: str, shape: tuple[int, ...]) -> None:
    batch = noise(shape)
    with opened(onnx_models.conv(tmp_path, layers=2), backend) as engine:
        restored = engine.infer(batch)
        alone = [engine.infer(batch[index : index + 1]) for index in range(shape[0])]
    assert restored.shape == shape
    assert np.abs(restored.astype(int) - np.concatenate(alone)).max() <= 1


def test_shapes_take_turns(tmp_path: Path, backend: str) -> None:
    """More shapes than a backend keeps ready, to and fro; each result belongs to its batch."""
    batches = [noise((1, height, 6, 3), seed=height) for height in (2, 4, 6, 8, 10, 12)] * 2
    with opened(onnx_models.identity(tmp_path), backend) as engine:
        for batch in batches:
            assert np.array_equal(engine.infer(batch), batch)


def test_out_receives_the_result(tmp_path: Path, backend: str) -> None:
    first, second = noise((1, 6, 8, 3), seed=1), noise((1, 6, 8, 3), seed=2)
    out = np.zeros_like(first)
    with opened(onnx_models.identity(tmp_path), backend) as engine:
        assert engine.infer(first, out) is out
        assert np.array_equal(out, first)
        assert engine.infer(second, out) is out
        assert np.array_equal(out, second)


def test_results_are_the_callers_own(tmp_path: Path, backend: str) -> None:
    first, second = noise((1, 6, 8, 3), seed=1), noise((1, 6, 8, 3), seed=2)
    with opened(onnx_models.identity(tmp_path), backend) as engine:
        kept = engine.infer(first)
        engine.infer(second)
    assert np.array_equal(kept, first)


def test_batches_in_any_memory(tmp_path: Path, backend: str) -> None:
    frame = noise((12, 16, 3))
    crop = frame[2:10, 3:9][np.newaxis]
    mirrored = frame[np.newaxis, :, ::-1]
    locked = frame[np.newaxis].copy()
    locked.flags.writeable = False
    with opened(onnx_models.identity(tmp_path), backend) as engine:
        for batch in (crop, mirrored, locked):
            assert np.array_equal(engine.infer(batch), batch)


def test_closed_is_closed(tmp_path: Path, backend: str) -> None:
    engine = opened(onnx_models.identity(tmp_path), backend)
    engine.close()
    engine.close()
    with pytest.raises(DerainError, match=r"engine of the model 'identity' is closed"):
        engine.infer(noise((1, 4, 4, 3)))


def test_says_what_it_is(tmp_path: Path, backend: str) -> None:
    with opened(onnx_models.conv(tmp_path, name="mine"), backend) as engine:
        assert (engine.backend, engine.precision) == (backend, "fp32")
        assert (engine.card.name, engine.card.halo) == ("mine", 1)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((1, 4, 4, 3), np.uint16), r"got uint16 pixels .* takes uint8 of shape \(N, H, W, 3\)"),
        (np.zeros((1, 4, 4, 3), np.float32), "got float32 pixels"),
        (np.zeros((4, 4, 3), np.uint8), r"of shape \(4, 4, 3\); it takes"),
        (np.zeros((1, 4, 4, 4), np.uint8), r"of shape \(1, 4, 4, 4\); it takes"),
        (np.zeros((0, 4, 4, 3), np.uint8), "none of them 0"),
        (np.zeros((1, 4, 6, 3), np.uint8), r"shape \(1, 4, 6, 3\); .* multiples of 4"),
    ],
)
def test_refuses_what_it_cant_restore(tmp_path: Path, backend: str, batch: Pixels, message: str) -> None:
    with (
        opened(onnx_models.unshuffle(tmp_path, factor=4), backend) as engine,
        pytest.raises(DerainError, match=message),
    ):
        engine.infer(batch)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((1, 4, 8, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint16),
        np.zeros((1, 4, 8, 3), np.uint8)[:, :, ::2],
    ],
)
def test_refuses_an_out_it_cant_fill(tmp_path: Path, backend: str, out: Pixels) -> None:
    with (
        opened(onnx_models.identity(tmp_path), backend) as engine,
        pytest.raises(DerainError, match=r"takes uint8 of shape \(1, 4, 4, 3\), C-contiguous"),
    ):
        engine.infer(noise((1, 4, 4, 3)), out)


def test_a_failure_inside_is_told_in_one_sentence(tmp_path: Path, backend: str) -> None:
    """The card says that any size will do, the network needs multiples of 4."""
    path = onnx_models.unshuffle(tmp_path, factor=4, multiple_of=1)
    with opened(path, backend) as engine:
        with pytest.raises(DerainError, match=rf"^{backend} .*\(1, 5, 5, 3\)") as caught:
            engine.infer(noise((1, 5, 5, 3)))
        assert "\n" not in str(caught.value)
        assert engine.infer(noise((1, 8, 8, 3))).shape == (1, 8, 8, 3), "the engine must live on"


def test_a_network_it_cant_compile_is_told_at_once(tmp_path: Path, backend: str) -> None:
    model = onnx_models.make([helper.make_node("Identity", ["rainy"], ["restored"])])
    model.graph.node[0].op_type = "Umbrella"
    path = onnx_models.save(model, tmp_path, onnx_models.CARD)
    with pytest.raises(DerainError, match=rf"^{backend} can't .*the model .*Umbrella") as caught:
        opened(path, backend)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("Exception from allocator.cpp:79:\nstd::bad_alloc\n"),
        RuntimeError("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 768000000"),
    ],
)
def test_memory_that_runs_short_has_its_own_error(error: Exception) -> None:
    """The texts are those of the two runtimes under a limit; smaller tiles are tried on this error."""
    told = failure(error, "restoring")
    assert isinstance(told, MemoryShortError)
    assert str(told) == "restoring: there is not enough memory"
    assert not isinstance(failure(RuntimeError("else"), "restoring"), MemoryShortError)


def test_threads_are_taken(tmp_path: Path, backend: str) -> None:
    batch = noise((1, 16, 16, 3))
    with open_engine(onnx_models.identity(tmp_path), EngineOptions(backend=backend, threads=1)) as engine:
        assert np.array_equal(engine.infer(batch), batch)


def test_unknown_options_are_named(tmp_path: Path, backend: str) -> None:
    path = onnx_models.identity(tmp_path)
    with pytest.raises(UsageError, match=rf"{backend} can't run in precision 'fp4'.* takes auto, .*fp32"):
        open_engine(path, EngineOptions(backend=backend, precision="fp4"))
    with pytest.raises(UsageError, match="dtype 'float32'; derain takes uint8 and uint16"):
        open_engine(path, EngineOptions(backend=backend, dtype="float32"))
    with pytest.raises(UsageError, match="number of threads is 0"):
        EngineOptions(backend=backend, threads=0)
