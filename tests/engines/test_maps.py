"""Several attention maps at a fraction of the frame: as channels, as scores, and for rain that stays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import backends
import numpy as np
import numpy.typing as npt
import onnx
import onnx_models
import pytest
from onnx import helper

from derain.engines.card import read_card
from derain.engines.engine import EngineOptions, Pixels, Scores
from derain.engines.errors import DerainError, UsageError
from derain.engines.modelfile import open_model
from derain.engines.registry import open_engine

Floats = npt.NDArray[np.float64]


@pytest.fixture(params=backends.ALL)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return backends.use(request.param, monkeypatch)


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def means(batch: Pixels, channel: int, scale: int) -> Floats:
    """Of 3x3 pixels around each, and of cells of those: what `onnx_models.mapped` does, in 0..1."""
    n, h, w, _ = batch.shape
    around = np.pad(batch[..., channel] / np.iinfo(batch.dtype).max, ((0, 0), (1, 1), (1, 1)))
    blurred = np.mean([around[:, y : y + h, x : x + w] for y in range(3) for x in range(3)], axis=0)
    return np.asarray(blurred.reshape(n, h // scale, scale, w // scale, scale).mean(axis=(2, 4)))


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_each_map_is_a_channel_at_full_size(tmp_path: Path, backend: str, dtype: str, scale: int) -> None:
    batch, peak = noise((2, 8, 12, 3), dtype), np.iinfo(dtype).max
    path = onnx_models.mapped(tmp_path, scale=scale)
    with open_engine(path, EngineOptions(backend, dtype=dtype, attention=True)) as engine:
        assert engine.channels == 5
        given = engine.infer(batch)
    assert np.abs(given[..., :3] - batch / 2).max() <= 1
    for channel in (0, 1):
        large = means(batch, channel, scale).repeat(scale, axis=1).repeat(scale, axis=2) * peak
        assert np.abs(given[..., 3 + channel] - large).max() <= 1


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("scale", [1, 4])
def test_scores_are_the_greatest_of_the_maps(
    tmp_path: Path, backend: str, scale: int, attention: bool
) -> None:
    path, batch = onnx_models.mapped(tmp_path, scale=scale), noise((2, 8, 12, 3))
    scores = np.full((2, 8 // scale, 12 // scale), np.nan, np.float32)
    with open_engine(path, EngineOptions(backend, attention=attention, scores=True)) as engine:
        assert engine.gives_scores
        restored = engine.infer(batch, scores=scores)
        assert np.array_equal(engine.infer(batch), restored), "nobody has to take the scores"
    assert restored.shape == (2, 8, 12, 5 if attention else 3)
    assert np.abs(scores - np.maximum(means(batch, 0, scale), means(batch, 1, scale))).max() < 1e-5


def test_a_full_size_map_without_a_name_is_called_rain_and_gives_scores(tmp_path: Path, backend: str) -> None:
    """A file from before cards named the maps."""
    path, batch = onnx_models.attentive(tmp_path), noise((1, 6, 7, 3))
    assert read_card(path).attention == ()
    scores = np.empty((1, 6, 7), np.float32)
    with open_engine(path, EngineOptions(backend, scores=True)) as engine:
        assert (engine.card.attention, engine.card.attention_scale) == (("rain",), 1)
        engine.infer(batch, scores=scores)
    assert np.abs(scores - batch[..., 0] / 255).max() < 1e-5


def test_scores_come_beside_states(tmp_path: Path, backend: str) -> None:
    path, batch = onnx_models.recurrent(tmp_path, attention=True), noise((1, 8, 12, 3))
    with open_engine(path, EngineOptions(backend, scores=True)) as engine:
        shapes = [spec.shape(1, 8, 12) for spec in engine.states]
        states = [(np.ones(shape, np.float32), np.empty(shape, np.float32)) for shape in shapes]
        scores = np.empty((1, 8, 12), np.float32)
        engine.infer(batch, states=states, scores=scores)
    assert np.abs(scores - (batch[..., 0] / 255 + 1) / 2).max() < 1e-5
    assert np.array_equal(states[1][1][:, 0], scores)
    assert states[0][1].std() > 0 and (states[0][0] == 1).all()


def steep(folder: Path) -> Path:
    """Its maps are twice the red and twice the green, less a half: a network that does not keep to 0..1."""
    path = onnx_models.mapped(folder, scale=1, kernel=1)
    model = onnx.load_model(path)
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0]) * 2
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "weights0"))
    bias = np.full(2, -0.5, np.float32)
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(bias, "bias0"))
    return onnx_models.save(model, folder, replace(read_card(path), sha256=""))


def test_scores_stay_in_their_range(tmp_path: Path, backend: str) -> None:
    batch = np.array([0, 128, 255], np.uint8).repeat(3).reshape(1, 1, 3, 3)
    scores = np.empty((1, 1, 3), np.float32)
    with open_engine(steep(tmp_path), EngineOptions(backend, scores=True)) as engine:
        engine.infer(batch, scores=scores)
    assert np.abs(scores[0, 0] - (0, 128 / 255 * 2 - 0.5, 1)).max() < 1e-5


@pytest.mark.parametrize("scores", [
    np.empty((1, 8, 12), np.float32),
    np.empty((1, 2, 3)),
    np.empty((1, 2, 6), np.float32)[..., ::2],
])  # fmt: skip
def test_other_arrays_for_scores_are_refused(tmp_path: Path, backend: str, scores: Any) -> None:
    path = onnx_models.mapped(tmp_path)
    message = r"write scores into \w+ of shape .*; it takes float32 of shape \(1, 2, 3\), C-contiguous"
    with (
        open_engine(path, EngineOptions(backend, scores=True)) as engine,
        pytest.raises(DerainError, match=message),
    ):
        engine.infer(noise((1, 8, 12, 3)), scores=scores)


def test_an_engine_opened_without_scores_gives_none(tmp_path: Path, backend: str) -> None:
    room: Scores = np.empty((1, 2, 3), np.float32)
    with open_engine(onnx_models.mapped(tmp_path), EngineOptions(backend)) as engine:
        assert not engine.gives_scores
        with pytest.raises(DerainError, match="'mapped' gives no scores; open it with scores=True"):
            engine.infer(noise((1, 8, 12, 3)), scores=room)


CELLS = {"dry": (0, 0, 200), "drops": (200, 8, 50), "streaks": (8, 200, 50), "both": (200, 100, 50)}
"""Colours of cells of 4x4 pixels in which `onnx_models.mapped` sees that rain; 8 is below what counts."""


def cells(dtype: str = "uint8") -> Pixels:
    """One beside the other, (1, 4, 16, 3)."""
    colours = np.array(list(CELLS.values()), dtype) * (257 if dtype == "uint16" else 1)
    return np.asarray(colours[np.newaxis, np.newaxis].repeat(4, axis=1).repeat(4, axis=2), dtype)


def share(kept: float, taken: float) -> float:
    """What is not kept of the rain above 0.05."""
    return (taken / 255 - 0.05) / (kept / 255 - 0.05)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("keep", "taken"),
    [
        (("drops",), {"dry": 1, "drops": 0, "streaks": 1, "both": share(200, 100)}),
        (("streaks",), {"dry": 1, "drops": 1, "streaks": 0, "both": 1}),
        (("drops", "streaks"), {"dry": 1, "drops": 0, "streaks": 0, "both": 0}),
    ],
)
def test_rain_that_is_kept_stays_and_all_else_goes(
    tmp_path: Path, backend: str, keep: tuple[str, ...], taken: dict[str, float], dtype: str
) -> None:
    """The network halves every pixel: `taken` is how much of that is left in each kind of cell."""
    path, batch = onnx_models.mapped(tmp_path, kernel=1), cells(dtype)
    with open_engine(path, EngineOptions(backend, dtype=dtype, keep=keep)) as engine:
        restored = engine.infer(batch)
    for number, name in enumerate(CELLS):
        at = np.s_[:, :, 4 * number : 4 * number + 4]
        expected = batch[at] * (1 - taken[name] / 2)
        assert np.abs(restored[at] - expected).max() <= (0 if taken[name] == 0 else 1), name


def test_maps_and_scores_tell_of_rain_that_is_kept_too(tmp_path: Path, backend: str) -> None:
    path, batch = onnx_models.mapped(tmp_path), noise((1, 8, 12, 3))
    scores = [np.empty((1, 2, 3), np.float32) for _ in range(2)]
    maps = []
    for keep, room in zip(((), ("drops",)), scores, strict=True):
        with open_engine(path, EngineOptions(backend, attention=True, scores=True, keep=keep)) as engine:
            maps.append(engine.infer(batch, scores=room)[..., 3:])
    assert np.array_equal(maps[0], maps[1]) and np.array_equal(scores[0], scores[1])


@pytest.mark.parametrize(
    ("make", "wanted", "message"),
    [
        (onnx_models.identity, {"keep": ("drops",)}, "can't keep drops: it has no attention map; give"),
        (onnx_models.attentive, {"keep": ("drops",)}, "can't keep drops: it has the attention map rain;"),
        (
            onnx_models.mapped,
            {"keep": ("streaks", "snow")},
            "can't keep snow: it has the attention maps drops, streaks; give a network with an attention map "
            "of snow",
        ),
        (onnx_models.identity, {"scores": True}, "gives no attention map, and so no scores"),
    ],
)  # fmt: skip
def test_what_a_network_has_no_map_for_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], wanted: dict[str, Any], message: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_engine(path, EngineOptions(**wanted))
    assert str(caught.value).startswith(f"the model {path} {message}")


def no_map(folder: Path) -> Path:
    model = onnx_models.make([helper.make_node("Identity", ["rainy"], ["restored"])])
    return onnx_models.save(model, folder, replace(onnx_models.CARD, attention=("drops", "streaks")))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda folder: onnx_models.mapped(folder, attention=("drops",)),
            "has the output 'attention' of shape (?, 2, ?, ?); derain takes (?, 1, ?, ?): batch, "
            "attention (drops), height and width",
        ),
        (
            lambda folder: onnx_models.mapped(folder, attention=()),
            "has the output 'attention' of shape (?, 2, ?, ?); derain takes (?, 1, ?, ?): batch, attention,",
        ),
        (
            lambda folder: onnx_models.mapped(folder, multiple_of=6),
            "gives attention_scale = 4; it must divide multiple_of, which is 6",
        ),
        (no_map, "names the attention maps drops, streaks, and its second output is not 'attention'; export"),
    ],
)
def test_files_whose_maps_do_not_fit_their_card_are_refused(
    tmp_path: Path, write: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        open_model(write(tmp_path))
    assert message in str(caught.value)
