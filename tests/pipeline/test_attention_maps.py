"""How much rain the network saw, of frames of any size: the same in tiles as for whole frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
from fake_engine import FakeEngine

from derain.engines.engine import Engine, EngineOptions, Pixels, Scores
from derain.engines.registry import ON_CPU, open_engine
from derain.pipeline.restore import Restorer, attention_of, rgb_of


@pytest.fixture(scope="module", params=ON_CPU)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Of two maps at a quarter of the frame; it sees 4 pixels far."""
    path = onnx_models.mapped(tmp_path_factory.mktemp("model"))
    with open_engine(path, EngineOptions(str(request.param), attention=True, scores=True)) as opened:
        yield opened


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (8, 12), (37, 50), (64, 41)])
def test_tiles_give_the_scores_and_the_maps_of_the_whole_frame(engine: Engine, size: tuple[int, int]) -> None:
    pixels, whole = noise(*size), Restorer(engine, tile="none")
    restored = whole(pixels)
    assert whole.scores is not None
    assert whole.scores.shape == (-(-size[0] // 4), -(-size[1] // 4)) and whole.scores.dtype == np.float32
    for tile, batch in ((20, 1), (24, 3)):
        tiled = Restorer(engine, tile=tile, batch=batch)
        assert np.abs(tiled(pixels).astype(int) - restored).max() <= 1
        assert tiled.scores is not None
        assert np.abs(tiled.scores - whole.scores).max() < 1e-5


def test_scores_are_those_of_the_maps_and_of_the_last_frame(engine: Engine) -> None:
    restorer = Restorer(engine)
    assert restorer.scores is None
    kept: list[Scores] = []
    for picture in (noise(38, 50), np.zeros((38, 50, 3), np.uint8)):
        attention = attention_of(restorer(picture))
        assert restorer.scores is not None
        assert np.abs(attention[::4, ::4] / 255 - restorer.scores).max() <= 0.51 / 255
        kept.append(restorer.scores)
    assert kept[0].max() > 0.3 and not kept[1].any(), "a later frame changes nothing of an earlier one's"


def test_scores_are_given_at_no_strength_too(tmp_path: Path) -> None:
    pixels = noise(8, 12)
    with open_engine(onnx_models.mapped(tmp_path), EngineOptions(scores=True)) as engine:
        restorer = Restorer(engine, strength=0)
        assert np.array_equal(restorer(pixels), pixels)
        assert restorer.scores is not None and restorer.scores.max() > 0.3


def test_an_engine_without_scores_has_none() -> None:
    restorer = Restorer(FakeEngine())
    restorer(noise(4, 4))
    assert restorer.scores is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_greatest_of_several_maps_is_the_attention(dtype: Any) -> None:
    restored = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 7, 6), dtype)
    assert np.array_equal(attention_of(restored), restored[..., 3:].max(axis=2))
    assert np.array_equal(rgb_of(restored), restored[..., :3]) and rgb_of(restored).flags.c_contiguous
