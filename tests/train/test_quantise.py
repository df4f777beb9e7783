"""`derain quantise`: the same network in INT8, from an ONNX file with a card and frames."""

import sys
from dataclasses import replace
from pathlib import Path

import clips
import cv2
import numpy as np
import onnx
import onnx_models
import pytest
from onnx import helper, numpy_helper

from derain.engines.card import read_card, weights_sha256
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.errors import UsageError
from derain.engines.quality import psnr
from derain.engines.registry import open_engine
from derain.pipeline.cli import run
from derain.train.calibration import choose
from derain.train.quantise import quantise


def scene(seed: int, height: int = 32, width: int = 48) -> Pixels:
    """A smooth picture of its own."""
    coarse = np.random.default_rng(seed).integers(20, 236, (4, 6, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shots") / "frames"
    folder.mkdir()
    for number in range(8):
        assert cv2.imwrite(str(folder / f"{number}.png"), scene(number))
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, frames: Path) -> tuple[Path, Path]:
    """A network and its INT8 file."""
    model = gated(tmp_path_factory.mktemp("pair"))
    return model, quantised(model, frames, "--seed", "3")


def gated(folder: Path) -> Path:
    """A network as they are shipped: convolutions, a gate made of its two attention maps, a residual."""
    nodes, values = onnx_models.convolutions(
        "rainy", "deep", onnx_models.random_stack([3, 8, 8], 3, 0), relu=True
    )
    weights = np.random.default_rng(1).normal(0, 0.1, (3, 8, 1, 1)).astype(np.float32)
    nodes += [
        helper.make_node("Conv", ["deep", "mask_weights"], ["mask"]),
        helper.make_node("Sigmoid", ["mask"], ["attention"]),
        helper.make_node("Conv", ["deep", "rain_weights"], ["rain"]),
        helper.make_node("Split", ["attention"], ["drops", "streaks"], axis=1),
        helper.make_node("Max", ["drops", "streaks"], ["gate"]),
        helper.make_node("Mul", ["rain", "gate"], ["gated"]),
        helper.make_node("Add", ["rainy", "gated"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["restored"]),
    ]
    values += [
        numpy_helper.from_array(weights[:2], "mask_weights"),
        numpy_helper.from_array(weights, "rain_weights"),
        numpy_helper.from_array(np.array(0, np.float32), "low"),
        numpy_helper.from_array(np.array(1, np.float32), "high"),
    ]
    model = onnx_models.make(nodes, values)
    onnx_models.add_output(model, "attention", ("N", 2, "H", "W"))
    card = replace(onnx_models.CARD, name="gated", halo=2, seed=7, quality={"Rain100L": "30 dB"})
    return onnx_models.save(model, folder, replace(card, attention=("drops", "streaks")))


def quantised(model: Path, frames: Path, *words: str) -> Path:
    output = model.with_name(f"{model.stem}.int8.onnx")
    assert run(["quantise", str(model), str(output), "--calibration", str(frames), *words]) == 0
    return output


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_each_backend_runs_it_near_to_the_network_it_was(pair: tuple[Path, Path], backend: str) -> None:
    batch = scene(100, 30, 44)[np.newaxis]
    outcomes = []
    for path, precision in zip(pair, ("fp32", "int8"), strict=True):
        options = EngineOptions(backend=backend, precision=precision, attention=True)
        with open_engine(path, options) as engine:
            assert (engine.precision, engine.precision_reason) == (precision, "")
            outcomes.append(engine.infer(batch))
    assert psnr(outcomes[0], outcomes[1], 255) > 40
    assert not np.array_equal(outcomes[0], outcomes[1]), "it is not the fp32 network"


def test_both_sides_of_each_convolution_are_integers_and_nothing_after_the_last(
    pair: tuple[Path, Path],
) -> None:
    graph = onnx.load_model(pair[1]).graph
    rounded = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    for node in graph.node:
        if node.op_type == "Conv":
            assert rounded.issuperset(node.input[:2])
        if node.op_type in ("Sigmoid", "Split", "Max", "Mul", "Add", "Clip"):
            assert rounded.isdisjoint(node.input), node.op_type


def test_no_zero_point_but_0_which_is_all_that_tensorrt_takes(pair: tuple[Path, Path]) -> None:
    graph = onnx.load_model(pair[1]).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    points = [values[node.input[2]] for node in graph.node if node.op_type == "DequantizeLinear"]
    assert points and not any(point.any() for point in points)


def test_the_card_keeps_all_and_tells_of_the_calibration(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before, card = read_card(pair[0]), read_card(pair[1])
    weights = weights_sha256(onnx.load_model(pair[1]))
    assert card == replace(before, precision="int8", calibration=card.calibration, sha256=weights)
    assert card.calibration.startswith("6 frames of frames, seed 3; ")
    assert card.calibration.endswith(" dB to fp32 on 2 others")
    assert run(["models", str(pair[1])]) == 0
    assert f"precision: int8, calibrated on {card.calibration}" in capsys.readouterr().out
    assert run(["models", str(pair[0])]) == 0
    assert "precision: fp32, and int8 in gated.int8.onnx" in capsys.readouterr().out


def test_the_same_frames_give_the_same_file(
    pair: tuple[Path, Path], frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, again = pair[0], tmp_path / "again.onnx"
    words = ["quantise", str(model), str(again), "--calibration", str(frames), "--seed", "3"]
    assert run(words) == 0
    assert again.read_bytes() == pair[1].read_bytes()
    told = capsys.readouterr().out
    assert told.startswith(f"{again}: {read_card(again).calibration}, ") and told.count("\n") == 1
    assert run([*words, "--frames", "2"]) == 0
    assert again.read_bytes() != pair[1].read_bytes()


def test_frames_of_a_video(tmp_path: Path) -> None:
    model = onnx_models.unshuffle(tmp_path, layers=2)
    video = clips.Clip(times=range(12)).write(tmp_path / "rain.mp4")
    assert "8 frames of" in read_card(quantised(model, video, "--frames", "8")).calibration


def test_too_far_from_fp32_is_told_and_not_written(
    tmp_path: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = gated(tmp_path), tmp_path / "far.onnx"
    words = ["quantise", str(model), str(output), "--calibration", str(frames), "--least", "150"]
    assert run(words) == 1
    assert "dB to fp32, less than 150 dB, and was not written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["gated.onnx"]


def test_what_can_not_be_quantised_is_refused(
    tmp_path: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = onnx_models.identity(tmp_path)
    done = onnx_models.identity(tmp_path, name="done", precision="int8")
    small = tmp_path / "small"
    small.mkdir()
    for number in range(4):
        assert cv2.imwrite(str(small / f"{number}.png"), scene(number, 3, 3))
    few = tmp_path / "few"
    few.mkdir()
    coarse = onnx_models.unshuffle(tmp_path, factor=4)
    for model, calibration, message in (
        (plain, frames, "has nothing to quantise"),
        (done, frames, "is int8 already; give the fp32 one"),
        (plain, few, "has 0 frames to calibrate on; it takes 4 and more"),
        (coarse, small, "has 3x3 pixels; the network takes 4 a side and more"),
        (plain, tmp_path / "none.mp4", "none.mp4"),
    ):
        output = tmp_path / "out.onnx"
        assert run(["quantise", str(model), str(output), "--calibration", str(calibration)]) == 2
        assert message in capsys.readouterr().err
        assert not output.exists()
    assert run(["quantise", str(plain), str(plain), "--calibration", str(frames)]) == 2
    assert "is the model itself" in capsys.readouterr().err


def test_frames_held_out_are_none_of_those_calibrated_on(frames: Path) -> None:
    chosen = choose(frames, 5, 0, 16)
    assert (len(chosen.calibration), len(chosen.held_out)) == (5, 2)
    every = [cut.tobytes() for cut in (*chosen.calibration, *chosen.held_out)]
    assert len(set(every)) == 7
    assert all(cut.shape == (32, 48, 3) for cut in (*chosen.calibration, *chosen.held_out))


def test_grey_and_16_bit_pictures_and_large_ones(tmp_path: Path) -> None:
    deep = scene(0, 600, 700).astype(np.uint16) << 8
    for name, picture in (("grey", scene(1)[:, :, 0]), ("deep", deep), ("a", scene(2)), ("b", scene(3))):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    chosen = choose(tmp_path, 8, 0, 10)
    shapes = {cut.shape for cut in (*chosen.calibration, *chosen.held_out)}
    assert shapes == {(30, 40, 3), (510, 510, 3)}
    assert all(cut.dtype == np.uint8 for cut in chosen.calibration)


def test_without_nncf_it_says_what_to_install(
    tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(UsageError, match=r'pip install "derain\[train\]"'):
        quantise(gated(tmp_path), tmp_path / "out.onnx", frames)
