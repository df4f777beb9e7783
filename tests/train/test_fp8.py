"""`derain quantise --precision fp8`: the same network in FP8, near to fp32, and run where it is asked for."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx_models
import pytest
from onnx import TensorProto, numpy_helper

from derain.engines.card import read_card
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.errors import UsageError
from derain.engines.quality import psnr
from derain.engines.registry import open_engine
from derain.pipeline.cli import run


def scene(seed: int) -> Pixels:
    coarse = np.random.default_rng(seed).integers(20, 236, (4, 6, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (48, 32), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network and its FP8 file."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "frames").mkdir()
    for number in range(6):
        assert cv2.imwrite(str(folder / "frames" / f"{number}.png"), scene(number))
    model = onnx_models.unshuffle(folder, channels=16)
    words = [str(model), str(folder / "unshuffle.fp8.onnx"), "--calibration", str(folder / "frames")]
    assert run(["quantise", *words, "--precision", "fp8", "--seed", "3", "--least", "30"]) == 0
    return model, folder / "unshuffle.fp8.onnx"


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_it_is_near_to_the_network_it_was_and_another_one(pair: tuple[Path, Path], backend: str) -> None:
    frame = scene(100)[np.newaxis]
    restored = []
    for precision in ("fp32", "fp8"):
        with open_engine(pair[0], EngineOptions(backend=backend, precision=precision)) as engine:
            assert engine.precision == precision
            restored.append(engine.infer(frame))
    assert 30 < psnr(restored[0], restored[1], 255) < 70


def test_both_sides_of_each_convolution_are_fp8_and_nothing_else_is(pair: tuple[Path, Path]) -> None:
    model = onnx.load_model(pair[1])
    onnx.checker.check_model(model)
    rounded = {
        name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    for node in model.graph.node:
        taken = rounded.intersection(node.input)
        assert taken == (set(node.input[:2]) if node.op_type == "Conv" else set()), node.op_type
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    zeros = [values[node.input[2]] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert {zero.data_type for zero in zeros} == {TensorProto.FLOAT8E4M3FN}
    assert not any(numpy_helper.to_array(zero).astype(np.float32).any() for zero in zeros)


def test_the_card_tells_of_it(pair: tuple[Path, Path]) -> None:
    card = read_card(pair[1])
    assert card.precision == "fp8"
    assert card.calibration.startswith("5 frames of frames, seed 3; ")


def test_without_the_file_it_is_told_how_to_make_it(tmp_path: Path) -> None:
    model = onnx_models.conv(tmp_path)
    with pytest.raises(
        UsageError, match=r"no FP8 file .*conv\.fp8\.onnx .* derain quantise --precision fp8,"
    ):
        open_engine(model, EngineOptions(backend="onnxruntime", precision="fp8"))


def test_a_network_without_convolutions_is_refused(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plain, frames = onnx_models.identity(tmp_path), pair[0].parent / "frames"
    words = [str(plain), str(tmp_path / "out.onnx"), "--calibration", str(frames), "--precision", "fp8"]
    assert run(["quantise", *words]) == 2
    assert "has nothing to quantise: none of its nodes is Conv" in capsys.readouterr().err
