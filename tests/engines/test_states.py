"""Networks that remember: their states through every backend, and files whose states do not fit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import backends
import numpy as np
import numpy.typing as npt
import onnx
import onnx_models
import pytest
from onnx import TensorProto

from derain.engines.card import StatePair
from derain.engines.engine import Engine, EngineOptions, Pixels, State
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import StateSpec, open_model
from derain.engines.registry import open_engine

Floats = npt.NDArray[np.float64]
SHAPE = (2, 8, 12)


@pytest.fixture(params=backends.ALL)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return backends.use(request.param, monkeypatch)


def noise(dtype: str = "uint8", seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (*SHAPE, 3), dtype, endpoint=True)


def zeros(engine: Engine) -> list[tuple[State, State]]:
    shapes = [spec.shape(*SHAPE) for spec in engine.states]
    return [(np.zeros(shape, np.float32), np.full(shape, np.nan, np.float32)) for shape in shapes]


def expected(rainy: Floats, memory: Floats, redness: Floats) -> tuple[Floats, Floats, Floats]:
    """What `onnx_models.recurrent` does, of batches (N, H, W, 3) in 0..1 and states (N, C, h, w)."""
    planes = rainy.transpose(0, 3, 1, 2)
    n, c, h, w = memory.shape
    means = planes.reshape(n, c, h, 4, w, 4).mean(axis=(3, 5))
    around = np.pad(memory, ((0, 0), (0, 0), (1, 1), (1, 1)))
    blurred = np.mean([around[:, :, y : y + h, x : x + w] for y in range(3) for x in range(3)], axis=0)
    memory = (means + blurred) / 2
    restored = planes - memory.repeat(4, axis=2).repeat(4, axis=3) / 2 - redness / 2
    return restored.clip(0, 1).transpose(0, 2, 3, 1), memory, (planes[:, :1] + redness) / 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("attention", [False, True])
def test_frames_follow_one_another(tmp_path: Path, backend: str, dtype: str, attention: bool) -> None:
    path, peak = onnx_models.recurrent(tmp_path, attention=attention), np.iinfo(dtype).max
    before: tuple[Floats, Floats] = (np.zeros((2, 3, 2, 3)), np.zeros((2, 1, 8, 12)))
    with open_engine(path, EngineOptions(backend, dtype=dtype, attention=attention)) as engine:
        states = zeros(engine)
        for seed in range(4):
            batch = noise(dtype, seed)
            restored = engine.infer(batch, states=states)
            wanted, *after = expected(batch / peak, *before)
            assert np.abs(restored[..., :3] - wanted * peak).max() <= 1
            if attention:
                assert np.abs(restored[..., 3] - after[1][:, 0] * peak).max() <= 1
            for (read, written), old, new in zip(states, before, after, strict=True):
                assert np.abs(read - old).max() < 1e-5, "what is read stays as it is"
                assert np.abs(written - new).max() < 1e-5
            states, before = [(written, read) for read, written in states], (after[0], after[1])


def test_a_map_that_nobody_wants_leaves_the_states(tmp_path: Path, backend: str) -> None:
    path = onnx_models.recurrent(tmp_path, attention=True)
    with open_engine(path, EngineOptions(backend)) as engine:
        states = zeros(engine)
        assert engine.infer(noise(), states=states).shape == (*SHAPE, 3)
        assert np.abs(states[1][1][:, 0] - noise()[..., 0] / 510).max() < 1e-5


def test_an_engine_tells_its_states(tmp_path: Path, backend: str) -> None:
    with open_engine(onnx_models.recurrent(tmp_path), EngineOptions(backend)) as engine:
        assert engine.states == (StateSpec("memory", 3, 4), StateSpec("redness", 1, 1))
        assert engine.states[0].shape(1, 720, 1280) == (1, 3, 180, 320)
    with open_engine(onnx_models.identity(tmp_path), EngineOptions(backend)) as engine:
        assert engine.states == ()


def wide(engine: Engine) -> Any:
    return [(np.zeros((2, 3, 2, 6), np.float32)[..., ::2],) * 2, zeros(engine)[1]]


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (lambda _: (), r"got 0 pairs of states; the model 'recurrent' has 2 \(memory, redness\)"),
        (lambda engine: zeros(engine)[:1], "got 1 pairs of states"),
        (
            lambda engine: zeros(engine)[::-1],
            r"state 'memory' as float32 of shape \(2, 1, 8, 12\); it takes float32 of shape \(2, 3, 2, 3\)",
        ),
        (
            lambda engine: [tuple(a.astype(float) for a in pair) for pair in zeros(engine)],
            "state 'memory' as float64",
        ),
        (wide, "state 'memory' as float32 .*C-contiguous and writeable"),
        (
            lambda engine: [(read, read) for read, _ in zeros(engine)],
            "state 'memory' can't be written where it is read",
        ),
    ],
)
def test_other_states_are_refused(
    tmp_path: Path, backend: str, states: Callable[[Engine], Any], message: str
) -> None:
    with (
        open_engine(onnx_models.recurrent(tmp_path), EngineOptions(backend)) as engine,
        pytest.raises(DerainError, match=message),
    ):
        engine.infer(noise(), states=states(engine))


def test_a_network_of_single_frames_takes_no_state(tmp_path: Path, backend: str) -> None:
    state = np.zeros((2, 3, 2, 3), np.float32)
    with (
        open_engine(onnx_models.identity(tmp_path), EngineOptions(backend)) as engine,
        pytest.raises(DerainError, match=r"got 1 pairs of states; the model 'identity' has 0 \(none\)"),
    ):
        engine.infer(noise(), states=[(state, state.copy())])


MEMORY, REDNESS = StatePair("memory", "memory_next", 4), StatePair("redness", "redness_next", 1)
Shape = Sequence[int | str]


def other_end(
    kind: str, shape: Shape = ("N", 3, "h", "w"), dtype: int = TensorProto.FLOAT
) -> Callable[[Path], Path]:
    """A recurrent model whose state `memory` is an input or output of that shape and dtype."""

    def write(folder: Path) -> Path:
        path = onnx_models.recurrent(folder)
        model = onnx.load_model(path)
        end = next(end for end in getattr(model.graph, kind) if end.name.startswith("memory"))
        end.CopyFrom(onnx.helper.make_tensor_value_info(end.name, dtype, shape))
        onnx.save_model(model, path)
        return path

    return write


def other_states(*states: StatePair, **card: Any) -> Callable[[Path], Path]:
    return lambda folder: onnx_models.recurrent(folder, states=states, **card)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (other_states(), "has the inputs rainy, memory, redness; derain takes one input named 'rainy'"),
        (
            other_states(MEMORY),
            "has the inputs rainy, memory, redness; derain takes one input named 'rainy', then those that "
            "its card names as states (memory)",
        ),
        (other_states(REDNESS, MEMORY), "as states (redness, memory)"),
        (
            other_states(MEMORY, StatePair("redness", "redder", 1)),
            "has the outputs restored, memory_next, redness_next; derain takes one output named 'restored', "
            "and 'attention' after it where there is an attention map, then those that its card names as "
            "states (memory_next, redder)",
        ),
        (
            other_states(MEMORY, REDNESS, multiple_of=6),
            "gives its state 'memory' the scale 4; it must divide multiple_of, which is 6",
        ),
        (
            other_end("input", dtype=TensorProto.FLOAT16),
            "the input 'memory' of dtype FLOAT16; derain takes FLOAT (32 bit)",
        ),
        (
            other_end("output", dtype=TensorProto.FLOAT16),
            "the output 'memory_next' of dtype FLOAT16; derain takes FLOAT (32 bit)",
        ),
        (
            other_end("input", ("N", "C", "h", "w")),
            "the input 'memory' of shape (?, ?, ?, ?); derain takes a state of shape (?, C, ?, ?): batch, a "
            "fixed number of channels",
        ),
        (other_end("input", (1, 3, 90, 160)), "the input 'memory' of shape (1, 3, 90, 160)"),
        (
            other_end("output", ("N", 4, "h", "w")),
            "has a state of 3 channels in its input 'memory' and of 4 in its output 'memory_next'; they must "
            "be as many",
        ),
    ],
)
def test_files_whose_states_do_not_fit_are_refused(
    tmp_path: Path, write: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        open_model(write(tmp_path))
    assert message in str(caught.value)
