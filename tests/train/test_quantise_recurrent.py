"""`derain quantise` of a network that remembers: fed what it remembers of clips, measured over clips."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import clips
import cv2
import numpy as np
import onnx
import onnx_models
import pytest
import torch
from recurrent_network import Remembering

from derain.engines import machine
from derain.engines.card import read_card, write_card
from derain.engines.engine import EngineOptions, Pixels, State
from derain.engines.errors import UsageError
from derain.engines.quality import psnr
from derain.engines.registry import open_engine
from derain.pipeline.cli import run
from derain.train.calibration_clips import LENGTH, choose_clips, remembering
from derain.train.export import state_pairs, to_onnx
from derain.train.quantise import followed, remembered, to_int8, write

MULTIPLE_OF = 8
FRAMES = 32


def pan(count: int = FRAMES) -> list[Pixels]:
    """A camera over a smooth scene, with a flickering drop before it."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(20, 236, (6, 16, 3), np.uint8), (200, 48), interpolation=cv2.INTER_CUBIC)
    frames = [scene[:, 2 * n : 2 * n + 64].copy() for n in range(count)]
    for frame in frames:
        frame[8:24, 8:24] = rng.integers(100, 200)
    return frames


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbered frames, whose names sort otherwise."""
    folder = tmp_path_factory.mktemp("clip") / "shots"
    folder.mkdir()
    for number, frame in enumerate(pan()):
        assert cv2.imwrite(str(folder / f"frame{number}.png"), frame[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it remembers counts: it is added to what it sees, several times as large."""
    torch.manual_seed(0)
    network = Remembering(8).eval()
    with torch.no_grad():
        network.remembered.weight *= 2
        network.correction.weight *= 0.5
    graph = to_onnx(network, MULTIPLE_OF)
    card = replace(onnx_models.CARD, name="remembering", halo=48, multiple_of=MULTIPLE_OF)
    write_card(graph, replace(card, states=state_pairs(network), attention=("rain",)))
    path = tmp_path_factory.mktemp("model") / "remembering.onnx"
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.fixture(scope="module")
def int8(model: Path, shots: Path) -> Path:
    output = model.with_name("remembering.int8.onnx")
    assert run(["quantise", str(model), str(output), "--calibration", str(shots), "--frames", "16"]) == 0
    return output


def made(path: Path, frames: list[Pixels], precision: str, backend: str = "openvino") -> list[Pixels]:
    with open_engine(path, EngineOptions(backend, precision)) as engine:
        return [restored[0] for _, restored in followed(engine, tuple(frames))]


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_it_stays_near_to_the_network_it_was_over_a_whole_clip(model: Path, int8: Path, backend: str) -> None:
    frames = pan()
    exact, rough = made(model, frames, "fp32", backend), made(int8, frames, "int8", backend)
    near = [psnr(one, other, 255) for one, other in zip(rough, exact, strict=True)]
    assert min(near) > 38 and not np.array_equal(rough[-1], exact[-1])
    alone = made(model, frames[-1:], "fp32", backend)[0]
    assert psnr(alone, exact[-1], 255) < near[-1] - 6, "what it remembers counts for more than its rounding"


def test_the_states_edges_stay_float_and_all_convolutions_take_integers(int8: Path) -> None:
    graph = onnx.load_model(int8).graph
    for end in (*graph.input, *graph.output):
        assert end.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [end.name for end in graph.output][2:] == ["state1_next", "state2_next"]
    by_output = {name: node for node in graph.node for name in node.output}

    def rounded(name: str) -> bool:
        node = by_output[name]
        joined = node.op_type == "Concat" and all(map(rounded, node.input))
        return joined or node.op_type == "DequantizeLinear"

    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 5 and all(rounded(name) for node in convolutions for name in node.input[:2])
    waiting = [end.name for end in graph.output]
    while waiting:  # all between the last convolutions and the outputs
        node = by_output.get(waiting.pop())
        if node is not None and node.op_type != "Conv":
            assert node.op_type != "DequantizeLinear"
            waiting += node.input


def test_it_is_calibrated_on_the_states_that_following_clips_comes_to(model: Path, shots: Path) -> None:
    """Calibrated on no memory, what it takes of the states is clipped to next to nothing."""
    chosen = choose_clips(shots, 16, 0, MULTIPLE_OF, recurrent=True)
    frames = [frame for clip in chosen.calibration for frame in remembering(clip)]
    states = remembered(model, chosen.calibration)
    graph = onnx.load_model(model)
    blank: list[Mapping[str, State]] = [
        {name: np.zeros_like(state) for name, state in taken.items()} for taken in states
    ]
    exact, near = made(model, pan(), "fp32")[-1], []
    for number, fed in enumerate([states, blank]):
        path = model.with_name(f"{number}.onnx")
        write(to_int8(graph, frames, fed), read_card(model), path)
        near.append(psnr(made(path, pan(), "int8")[-1], exact, 255))
    assert near[0] > near[1] + 6


def test_fp8_is_calibrated_so_too(model: Path, shots: Path, tmp_path: Path) -> None:
    output = model.with_name("remembering.fp8.onnx")
    words = [str(model), str(output), "--calibration", str(shots), "--precision", "fp8", "--least", "30"]
    assert run(["quantise", *words]) == 0
    exact, rough = made(model, pan(), "fp32"), made(output, pan(), "fp8")
    assert 30 < psnr(rough[-1], exact[-1], 255) < 70


def test_rows_of_frames_follow_one_another_and_those_held_out_are_others(shots: Path) -> None:
    chosen = choose_clips(shots, 16, 0, MULTIPLE_OF, recurrent=True)
    order = {frame.tobytes(): number for number, frame in enumerate(pan())}
    numbers = [[order[frame.tobytes()] for frame in clip] for clip in (*chosen.calibration, *chosen.held_out)]
    assert all(row == list(range(row[0], row[0] + len(row))) for row in numbers)
    assert sorted(number for row in numbers for number in row) == list(range(FRAMES))
    assert sorted(map(len, numbers)) == [FRAMES - 3 * LENGTH, *[LENGTH] * 3]
    assert len(chosen.held_out) == 1


def test_a_row_ends_at_a_cut(tmp_path: Path) -> None:
    frames = pan(12)
    for number, frame in enumerate([*frames[:5], *(255 - frame for frame in frames[5:])]):
        assert cv2.imwrite(str(tmp_path / f"{number:03}.png"), frame)
    chosen = choose_clips(tmp_path, 16, 0, MULTIPLE_OF, recurrent=True)
    assert sorted(len(clip) for clip in (*chosen.calibration, *chosen.held_out)) == [5, 7]


def test_the_card_tells_it(int8: Path, model: Path) -> None:
    card = read_card(int8)
    assert card.states == read_card(model).states
    assert card.calibration.startswith("20 frames in 3 rows of shots, seed 0; ")
    assert card.calibration.endswith(f" dB to fp32 on {LENGTH} others")


def test_the_int8_file_beside_it_runs_on_videos_by_itself(
    model: Path,
    int8: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: ("AVX512-VNNI",))
    video = clips.Clip(times=range(6)).write(tmp_path / "rain.mp4")
    words = ["video", str(video), str(tmp_path / "dry.mp4"), "--model", str(model), "--bypass", "off"]
    assert run(words) == 0
    assert " int8 (the processor has AVX512-VNNI)" in capsys.readouterr().err


def test_pictures_that_don_t_follow_one_another_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        flat = np.full((48, 64, 3), number % 4 * 60, np.uint8)
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), flat)
    output = tmp_path / "out.onnx"
    assert run(["quantise", str(model), str(output), "--calibration", str(tmp_path)]) == 2
    assert "has no two rows of frames that follow one another" in capsys.readouterr().err
    assert not output.exists()


def test_a_small_clip_is_refused(tmp_path: Path) -> None:
    for number in range(20):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((4, 64, 3), np.uint8))
    with pytest.raises(UsageError, match="has 64x4 pixels; the network takes 8 a side and more"):
        choose_clips(tmp_path, 16, 0, MULTIPLE_OF, recurrent=True)
