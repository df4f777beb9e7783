"""Names and paths of networks; the shipped ones are sound, however many there are."""

from pathlib import Path

import onnx_models
import pytest
from file_sizes import MOST, most

from derain.engines import models
from derain.engines.card import weights_sha256
from derain.engines.errors import UsageError
from derain.engines.modelfile import open_model


@pytest.fixture
def two(shelf: Path) -> tuple[Path, ...]:
    """Two networks on the shelf, one of them with an INT8 file, beside a helper."""
    onnx_models.identity(shelf, name="realtime-s.int8", precision="int8")
    onnx_models.identity(shelf, name="glance")
    return onnx_models.identity(shelf, name="other"), onnx_models.identity(shelf, name="realtime-s")


def put(shelf: Path, *names: str) -> None:
    for name in names:
        onnx_models.identity(shelf, name=name)


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.stem for path in paths]


def test_names(two: tuple[Path, ...]) -> None:
    assert models.shipped() == two
    assert models.find("auto") == models.find("realtime-s") == two[1]
    assert models.find("other") == two[0]


def test_the_family_is_ranked_by_size_whatever_else_is_shipped(shelf: Path) -> None:
    put(shelf, "zoo")
    assert names(models.ranked()) == []
    put(shelf, "realtime-s")
    assert names(models.ranked()) == ["realtime-s"]
    put(shelf, "realtime-m", "realtime-l", "realtime-l.int8", "glance")
    assert names(models.ranked()) == ["realtime-l", "realtime-m", "realtime-s"]
    assert models.find("auto") == shelf / "realtime-l.onnx"
    for name in ("realtime-m", "realtime-s", "zoo"):
        assert models.find(name) == shelf / f"{name}.onnx"


def test_a_recurrent_twin_stands_before_its_still_one_where_frames_follow_one_another(shelf: Path) -> None:
    put(shelf, "zoo", "realtime-s-video")
    assert names(models.ranked(sequence=True)) == ["realtime-s-video"]
    assert names(models.ranked()) == []
    put(shelf, "realtime-s", "realtime-m")
    assert names(models.ranked(sequence=True)) == ["realtime-m", "realtime-s-video", "realtime-s"]
    assert names(models.ranked()) == ["realtime-m", "realtime-s"]
    assert models.find("realtime-s-video") == shelf / "realtime-s-video.onnx"


def test_paths_are_taken_as_they_are(two: tuple[Path, ...], tmp_path: Path) -> None:
    for path in (tmp_path / "mine.onnx", tmp_path / "no" / "ending", Path("other")):
        assert models.find(path) == path
    assert models.find("mine.onnx") == Path("mine.onnx")
    assert models.find("sub/other") == Path("sub/other")


@pytest.mark.parametrize("name", ["best", "glance", "realtime-s.int8"])
def test_unknown_names_are_told_the_known_ones(two: tuple[Path, ...], name: str) -> None:
    with pytest.raises(UsageError, match=f"no network '{name}'; the shipped ones are: other, realtime-s;"):
        models.find(name)


def test_without_a_shipped_network(shelf: Path) -> None:
    with pytest.raises(UsageError, match=r"no network 'auto'; .* none in this installation"):
        models.find("auto")


def test_the_shipped_networks_are_sound() -> None:
    assert models.shipped()
    for path in models.shipped():
        model = open_model(path)
        assert model.card.name == path.stem
        assert model.card.sha256 == weights_sha256(model.graph)
        assert model.card.data and model.card.licence and model.card.commit
    assert models.find("auto") in models.shipped()


def test_no_shipped_file_is_larger_than_the_wheel_has_room_for() -> None:
    files = list(models.SHELF.glob("*.onnx"))
    assert files and not {
        path.name: path.stat().st_size for path in files if path.stat().st_size > most(path.stem)
    }
    every = [*MOST, *(f"{name}.int8" for name in MOST)]
    assert max(MOST.values()) <= 16_000_000 and sum(map(most, every)) < 50_000_000
