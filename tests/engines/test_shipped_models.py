"""Names and paths of networks; the shipped ones are sound, however many there are."""

from pathlib import Path

import onnx_models
import pytest

from derain.engines import models
from derain.engines.card import weights_sha256
from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """Two networks, as if they were shipped."""
    paths = (
        onnx_models.identity(tmp_path, name=models.DEFAULT),
        onnx_models.identity(tmp_path, name="other"),
    )
    monkeypatch.setattr(models, "shipped", lambda: paths)
    return paths


def test_names(two: tuple[Path, ...]) -> None:
    assert models.find("auto") == models.find(models.DEFAULT) == two[0]
    assert models.find("other") == two[1]


def test_paths_are_taken_as_they_are(two: tuple[Path, ...], tmp_path: Path) -> None:
    for path in (tmp_path / "mine.onnx", tmp_path / "no" / "ending", Path("other")):
        assert models.find(path) == path
    assert models.find("mine.onnx") == Path("mine.onnx")
    assert models.find("sub/other") == Path("sub/other")


def test_unknown_names_are_told_the_known_ones(two: tuple[Path, ...]) -> None:
    with pytest.raises(
        UsageError, match=f"no network 'best'; the shipped ones are: {models.DEFAULT}, other;"
    ):
        models.find("best")


def test_without_a_shipped_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "shipped", lambda: ())
    with pytest.raises(UsageError, match=f"no network '{models.DEFAULT}'; .* none in this installation"):
        models.find("auto")


def test_the_shipped_networks_are_sound() -> None:
    assert models.shipped()
    for path in models.shipped():
        model = open_model(path)
        assert model.card.name == path.stem
        assert model.card.sha256 == weights_sha256(model.graph)
        assert model.card.data and model.card.licence and model.card.commit
        assert path.stat().st_size < 3_000_000
    assert models.find("auto") in models.shipped()
