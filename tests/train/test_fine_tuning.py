"""A trained network goes on under INT8's rounding, and is exported as the INT8 file that it trained for."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from recurrent_network import ENTRY, Remembering
from tiny_runs import curves, here, kept, photographs, same, tiny

from derain.engines.card import read_card
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.engines.registry import open_engine
from derain.pipeline.cli import run
from derain.train import export as exporting
from derain.train.checkpoint import read
from derain.train.export import export, load_checkpoint
from derain.train.networks import registry
from derain.train.networks.recurrent import along
from derain.train.recipe import LossRecipe, NetworkRecipe, Recipe, to_toml
from derain.train.rounding import convolutions, range_of, ranges
from derain.train.trainer import RunOptions, train

pytestmark = pytest.mark.usefixtures("undrawn")


def rounding_recipe() -> Recipe:
    return replace(tiny(), name="tiny-int8", train=replace(tiny().train, steps=3, quantised=True, rate=1e-4))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a network that rounds nothing."""
    return train(tiny(), here(data, tmp_path_factory.mktemp("runs") / "tiny"))


@pytest.fixture(scope="module")
def tuned(data: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of its fine-tuning."""
    folder = tmp_path_factory.mktemp("runs") / "tiny-int8"
    return train(rounding_recipe(), begun(data, folder, trained))


def begun(data: Path, folder: Path, trained: Path) -> RunOptions:
    return here(data, folder, start_from=trained, calibration=data / "photos")


@pytest.fixture(scope="module")
def exported(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.int8.onnx"
    export(tuned, path)
    return path


def test_the_card_tells_of_it(exported: Path) -> None:
    card = read_card(exported)
    assert card.precision == "int8"
    assert card.calibration == "4 frames of photos, seed 1; then trained under its rounding"
    assert card.recipe == "tiny-int8, 3 steps from tiny at 6 steps"


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_the_file_restores_as_the_network_that_trained(backend: str, exported: Path, tuned: Path) -> None:
    picture = cv2.resize(np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8), (96, 64))
    with torch.no_grad():
        planes = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        shown = load_checkpoint(tuned).network(planes).image.clamp(0, 1)[0].numpy().transpose(1, 2, 0) * 255
    with open_engine(exported, EngineOptions(backend=backend, precision="int8")) as engine:
        assert np.abs(engine.infer(picture[None])[0] - shown).max() <= 1.5, "and half a level of rounding"


def test_its_convolutions_take_rounded_values_and_weights(exported: Path, tuned: Path) -> None:
    graph = onnx.load_model(exported).graph
    rounded = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    convolved = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolved) == len(convolutions(load_checkpoint(tuned).network))
    assert all(rounded.issuperset(node.input[:2]) for node in convolved)


def test_ranges_stay_and_weights_learn(data: Path, trained: Path, tuned: Path, tmp_path: Path) -> None:
    at_once = replace(rounding_recipe(), train=replace(rounding_recipe().train, steps=0))
    first = read(train(at_once, begun(data, tmp_path / "run", trained)))["average"]
    last, exact = read(tuned)["average"], read(trained)["average"]
    assert all(torch.equal(first[name], value) for name, value in exact.items())
    for name, value in last.items():
        assert torch.equal(first[name], value) == name.endswith((".step", ".least")), name


def test_a_run_that_is_broken_off_equals_an_unbroken_one(
    data: Path, trained: Path, tuned: Path, tmp_path: Path
) -> None:
    """It needs neither the weights it began with nor the frames to go on."""
    folder = tmp_path / "tiny-int8"
    train(rounding_recipe(), replace(begun(data, folder, trained), time_limit=0.0))
    train(rounding_recipe(), here(data, folder, resume=True))
    assert same(kept(tuned.parent), kept(folder))
    assert curves(tuned.parent) == curves(folder)
    assert read(folder / "checkpoint.pt")["given"] == read(tuned)["given"]
    told = (folder / "card.md").read_text(encoding="utf-8")
    assert "- Rounds to INT8, by ranges of 4 frames of photos, seed 1\n" in told


@pytest.mark.parametrize(
    "extra,sentence",
    [
        (
            [],
            "[train] quantised goes on with trained weights under INT8's rounding; give --start-from CHECK",
        ),
        (["--calibration", "PHOTOS"], "give --start-from CHECKPOINT, and --calibration FOLDER|VIDEO"),
        (["--start-from", "TRAINED"], "give --start-from CHECKPOINT, and --calibration FOLDER|VIDEO"),
        (
            ["--start-from", "TRAINED", "--calibration", "DATA"],
            "has 0 frames to calibrate on; it takes 4 and more",
        ),
        (
            ["--start-from", "TUNED", "--calibration", "PHOTOS"],
            "was trained under INT8's rounding; give the checkpoint that it began with",
        ),
        (
            ["--calibration", "PHOTOS", "--set", "train.quantised=false"],
            "--calibration is for training under INT8's rounding; give --set train.quantised=true, or leave",
        ),
    ],
)
def test_what_it_lacks_is_told_before_a_run_folder_is_made(
    extra: list[str], sentence: str, data: Path, trained: Path, tuned: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    places = {"PHOTOS": data / "photos", "DATA": data, "TRAINED": trained, "TUNED": tuned}
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(to_toml(rounding_recipe()))
    words = ["train", str(recipe), "--data", str(data), "--output", str(tmp_path / "run"), "--workers", "0"]
    assert run([*words, *(str(places.get(word, word)) for word in extra)]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_file_that_rounds_otherwise_is_not_written(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "parity", lambda *given: 1.01 / 255)
    with pytest.raises(DerainError, match=r"differs from torch by 3\.96e-03, more than 0\.00392"):
        export(tuned, tmp_path / "tiny.int8.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that remembers is one of those that recipes name."""
    monkeypatch.setattr(registry, "NETWORKS", (*registry.NETWORKS, ENTRY))


@pytest.mark.usefixtures("known")
def test_a_network_that_remembers_is_tuned_by_what_it_remembers_of_a_clip(data: Path, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    wide = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 12, 3), np.uint8), (120, 48))
    for number in range(20):
        assert cv2.imwrite(str(shots / f"{number}.png"), wide[:, 2 * number : 2 * number + 64])
    exact = replace(
        tiny(),
        network=NetworkRecipe(ENTRY.name, width=0.25),
        data=replace(tiny().data, frames=2),
        loss=LossRecipe("spanet"),
        train=replace(tiny().train, steps=2),
    )
    rounds = replace(exact, name="tuned", train=replace(exact.train, quantised=True))
    options = here(data, tmp_path / "tuned", start_from=train(exact, here(data, tmp_path / "exact")))
    path = tmp_path / "tuned.int8.onnx"
    card = export(train(rounds, replace(options, calibration=shots)), path)
    assert card.calibration == "8 frames in 1 row of shots, seed 1; then trained under its rounding"
    assert [state.taken for state in card.states] == ["state1", "state2"]
    with open_engine(path, EngineOptions(precision="int8")) as engine:
        assert len(engine.states) == 2


@pytest.mark.usefixtures("one_thread")
def test_ranges_are_of_frames_before_which_something_is_remembered() -> None:
    network = Remembering(4).eval()
    clip = torch.rand(3, 3, 16, 16)
    found = ranges(network, [clip])
    with torch.no_grad():
        first, second, _ = along(network, clip[None])
    taken = [torch.cat([state.flatten() for state in frame.states]) for frame in (first, second)]
    least, most = (float(np.mean([float(end(one)) for one in taken])) for end in (torch.min, torch.max))
    assert found["remembered"] == pytest.approx(range_of(least, most))
