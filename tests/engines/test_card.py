"""Cards survive the trip through a file, and bad files are told apart in one sentence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_models
import pytest
from onnx import helper, numpy_helper

from derain.engines.card import ModelCard, StatePair, Tiling, read_card, weights_sha256, write_card
from derain.engines.errors import UsageError

FULL = ModelCard(
    name="regen",
    version="1.2",
    removes=("streaks", "drops"),
    halo=44,
    multiple_of=16,
    tiling=Tiling.APPROXIMATE,
    licence="MIT",
    recipe="realtime-s, 40000 steps",
    seed=7,
    commit="0123abc",
    data=("Rain100L (research only)", "own streaks"),
    quality={"Rain100L": "28.5 dB (+1.6)"},
    speed={"1280x720, 2 cores": "14 fps"},
    states=(StatePair("hidden", "hidden_next", 4),),
    attention=("drops", "streaks"),
    attention_scale=4,
)


def identity() -> onnx.ModelProto:
    return onnx_models.make([helper.make_node("Identity", ["rainy"], ["restored"])])


def test_round_trip(tmp_path: Path) -> None:
    model = identity()
    path = onnx_models.save(model, tmp_path, FULL)
    assert read_card(path) == replace(FULL, sha256=weights_sha256(model))


def test_defaults_round_trip(tmp_path: Path) -> None:
    assert replace(read_card(onnx_models.identity(tmp_path)), sha256="") == replace(
        onnx_models.CARD, name="identity"
    )


def test_writing_a_card_replaces_the_old_one_and_nothing_else() -> None:
    model = identity()
    helper.set_model_props(model, {"author": "somebody", "derain.gone": "1"})
    write_card(model, FULL)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["author"] == "somebody"
    assert "derain.gone" not in metadata
    assert metadata["derain.name"] == "regen"


def test_the_hash_is_of_the_weights_alone() -> None:
    def weighted(values: list[float], kind: type = np.float32, reverse: bool = False) -> onnx.ModelProto:
        model = identity()
        weights = [
            numpy_helper.from_array(np.array(values, kind), "a"),
            numpy_helper.from_array(np.ones(2), "b"),
        ]
        model.graph.initializer.extend(weights[::-1] if reverse else weights)
        return model

    reference = weights_sha256(weighted([1, 2]))
    assert weights_sha256(weighted([1, 2], reverse=True)) == reference
    assert weights_sha256(weighted([1, 3])) != reference
    assert weights_sha256(weighted([1, 2], np.float64)) != reference
    carded = weighted([1, 2])
    write_card(carded, FULL)
    assert weights_sha256(carded) == reference


def text_file(folder: Path) -> Path:
    path = folder / "text.onnx"
    path.write_text("This is not a network.\n" * 20)
    return path


def empty_file(folder: Path) -> Path:
    path = folder / "empty.onnx"
    path.touch()
    return path


def cut_short(folder: Path) -> Path:
    path = onnx_models.conv(folder)
    path.write_bytes(path.read_bytes()[:-40])
    return path


def damaged(folder: Path) -> Path:
    path = onnx_models.conv(folder)
    model = onnx.load_model(path)
    weights = numpy_helper.to_array(model.graph.initializer[0]) + np.float32(0.001)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, model.graph.initializer[0].name))
    onnx.save_model(model, path)
    return path


def outside_weights(folder: Path) -> Path:
    path = onnx_models.conv(folder)
    model = onnx.load_model(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.onnx", r"none\.onnx does not exist"),
        (lambda folder: folder, "is a directory; give a .onnx file"),
        (text_file, r"text\.onnx is not an ONNX file"),
        (empty_file, r"empty\.onnx is not an ONNX file"),
        (cut_short, r"conv\.onnx is not an ONNX file"),
        (onnx_models.without_card, r"without_card\.onnx has no derain card in its metadata"),
        (damaged, r"conv\.onnx is damaged or changed: its weights have sha256 \w{16}"),
        (outside_weights, r"conv\.onnx keeps weights in another file"),
    ],
)
def test_bad_files(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    path = make(tmp_path)
    with pytest.raises(UsageError, match=message) as caught:
        read_card(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "takes"),
    [
        ("name", "", "a text that is not empty"),
        ("licence", " ", "a text that is not empty"),
        ("halo", "-1", "a whole number from 0 up"),
        ("halo", "wide", "a whole number from 0 up"),
        ("halo", "1.5", "a whole number from 0 up"),
        ("halo", "true", "a whole number from 0 up"),
        ("multiple_of", "0", "a whole number from 1 up"),
        ("seed", '"lucky"', "a whole number from 0 up"),
        ("tiling", "often", "exact, approximate, whole_frame"),
        ("removes", "streaks", "a JSON list of texts"),
        ("removes", "[1]", "a JSON list of texts"),
        ("quality", "[]", "a JSON object of texts"),
        ("speed", '{"720p": 14}', "a JSON object of texts"),
        ("states", '[["h", "h_next"]]', "a JSON list of states [input, output, scale]"),
        ("states", '[["h", "h_next", 0]]', "a JSON list of"),
        ("states", '[["h", "h_next", true]]', "a JSON list of"),
        ("states", "1", "a JSON list of"),
        ("attention", '["drops", 1]', "a JSON list of names"),
        ("attention", '["drops", " "]', "a JSON list of names"),
        ("attention", '["drops", "drops"]', "a JSON list of names, no two alike"),
        ("attention_scale", "0", "a whole number from 1 up"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, field: str, value: str, takes: str) -> None:
    path = changed(onnx_models.identity(tmp_path), {f"derain.{field}": value})
    with pytest.raises(UsageError) as caught:
        read_card(path)
    assert f"has {field} = {value!r}; it must be {takes}" in str(caught.value)


@pytest.mark.parametrize("field", ["name", "version", "removes", "halo", "multiple_of", "tiling", "licence"])
def test_missing_fields_are_named(tmp_path: Path, field: str) -> None:
    path = changed(onnx_models.identity(tmp_path), {f"derain.{field}": None})
    with pytest.raises(UsageError, match=f"lacks '{field}'"):
        read_card(path)


def test_fields_of_later_versions_are_left_alone(tmp_path: Path) -> None:
    path = changed(onnx_models.identity(tmp_path), {"derain.smell": "fresh"})
    assert read_card(path).name == "identity"


def changed(path: Path, metadata: dict[str, str | None]) -> Path:
    """The model with metadata entries changed or, where None, left out."""
    model = onnx.load_model(path)
    entries: dict[str, str | None] = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    kept = {key: value for key, value in (entries | metadata).items() if value is not None}
    helper.set_model_props(model, kept)
    onnx.save_model(model, path)
    return path
