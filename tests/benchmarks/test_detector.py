"""A user's own ONNX detector: what it is fed, how its boxes are read, and what is said where it won't do."""

from pathlib import Path

import numpy as np
import pytest
from detector_models import Shape, bright, constant, write
from onnx import helper

from derain.benchmarks.usefulness.boxes import BoxWatcher
from derain.benchmarks.usefulness.detector import DetectorOptions, OnnxDetector, letterboxed, suppressed
from derain.benchmarks.usefulness.views import RGB, Views
from derain.engines.errors import DerainError, UsageError


def night(*blocks: tuple[int, int]) -> RGB:
    """A black 64x32 frame with white blocks of 8x8 at (left, top)."""
    frame = np.zeros((32, 64, 3), np.uint8)
    for left, top in blocks:
        frame[top : top + 8, left : left + 8] = 255
    return frame


def test_a_detector_finds_its_boxes_in_the_layout_of_yolov8(tmp_path: Path) -> None:
    detect = OnnxDetector(bright(tmp_path / "d.onnx"), DetectorOptions("yolov8"))
    assert detect(night((16, 8), (40, 24))).tolist() == [[16, 8, 24, 16, 1], [40, 24, 48, 32, 1]]
    assert detect(night()).shape == (0, 5)


def test_the_score_and_the_class_choose(tmp_path: Path) -> None:
    path = bright(tmp_path / "d.onnx")
    half = night((16, 8)) // 2
    assert len(OnnxDetector(path, DetectorOptions("yolov8", score=0.4))(half)) == 1
    assert len(OnnxDetector(path, DetectorOptions("yolov8", score=0.6))(half)) == 0
    assert len(OnnxDetector(path, DetectorOptions("yolov8", classes=(1, 5)))(half)) == 1
    assert len(OnnxDetector(path, DetectorOptions("yolov8", classes=(0,)))(half)) == 0


def test_boxes_come_back_to_the_frame_from_the_letterbox(tmp_path: Path) -> None:
    """A square frame of 64 in an input of 32x64: halved, 16 pixels in from the left."""
    detect = OnnxDetector(bright(tmp_path / "d.onnx"), DetectorOptions("yolov8", score=0.9))
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[16:32, 32:48] = 255
    assert detect(frame).tolist() == [[32, 16, 48, 32, 1]]


def test_the_letterbox_is_rgb_in_0_to_1_on_grey() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 0] = 255
    blob, box = letterboxed(frame, (32, 64))
    assert blob.shape == (1, 3, 32, 64) and blob.dtype == np.float32
    assert (box.scale, box.left, box.top) == (0.5, 16, 0)
    assert blob[0, :, 10, 30].tolist() == [1, 0, 0]
    assert blob[0, :, 10, [15, 48]] == pytest.approx(np.full((2, 3), 114 / 255))


def test_a_dynamic_size_is_the_frame_s_own_in_multiples_of_32(tmp_path: Path) -> None:
    rows = [[2, 3, 10, 20, 0.9, 4], [-5, -5, 200, 200, 0.8, 1]]
    path = constant(tmp_path / "d.onnx", rows, (None, 3, "h", "w"))
    blob, box = letterboxed(np.zeros((30, 70, 3), np.uint8), None)
    assert (blob.shape, box.scale, box.left, box.top) == ((1, 3, 32, 96), 1, 13, 1)
    found = OnnxDetector(path)(np.zeros((30, 70, 3), np.uint8))
    assert found.tolist() == [[0, 2, 0, 19, 4], [0, 0, 70, 30, 1]]


@pytest.mark.parametrize("shape", [(2, 6), (1, 2, 6)])
def test_rows_are_corners_score_and_class(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rows = np.array([[0, 0, 8, 8, 0.5, 2], [20, 8, 40, 32, 0.9, 3]]).reshape(shape)
    found = OnnxDetector(constant(tmp_path / "d.onnx", rows))(night())
    assert found.tolist() == [[20, 8, 40, 32, 3], [0, 0, 8, 8, 2]], "the best first"


def test_of_boxes_of_one_class_on_top_of_each_other_the_best_stays() -> None:
    found = np.array(
        [[0, 0, 10, 10, 0.6, 0], [1, 0, 11, 10, 0.9, 0], [0, 0, 10, 10, 0.7, 1], [6, 0, 16, 10, 0.5, 0]]
    )
    assert suppressed(found)[:, 4].tolist() == [0.9, 0.7, 0.5]
    tied = np.array([[0, 0, 10 + number / 100, 10, 0.5 + number % 2 / 4, 0] for number in range(99)])
    assert suppressed(tied).tolist() == [tied[1].tolist()], "of equal scores the first"
    assert suppressed(found[:0]).shape == (0, 6)


def test_it_judges_views_as_any_detector(tmp_path: Path) -> None:
    detect = OnnxDetector(bright(tmp_path / "d.onnx"), DetectorOptions("yolov8"))
    watcher = BoxWatcher("detector", lambda: detect)
    both, one = night((16, 8), (40, 24)), night((16, 8))
    watcher.see(Views(clean=both, rainy=night(), restored=one))
    assert [row["recall"] for row in watcher.rows()] == [1.0, 0.0, 0.5]
    assert [row["precision"] for row in watcher.rows()] == [1.0, None, 1.0]


def test_what_is_no_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no detector .*missing\.onnx"):
        OnnxDetector(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("people")
    with pytest.raises(UsageError, match=r"text\.onnx is no ONNX model that can be run \(.*\)$"):
        OnnxDetector(tmp_path / "text.onnx")


def test_two_inputs_or_two_outputs_are_named(tmp_path: Path) -> None:
    add = helper.make_node("Add", ["in0", "in1"], ["out0"])
    shape = (1, 3, 32, 64)
    path = write(tmp_path / "two.onnx", [add], takes=(shape, shape), gives=(shape,))
    with pytest.raises(UsageError, match=r"has 2 inputs \(in0, in1\); it takes one input"):
        OnnxDetector(path)
    split = helper.make_node("Split", ["in0"], ["out0", "out1"], axis=2)
    path = write(tmp_path / "out.onnx", [split], gives=((1, 3, 16, 64), (1, 3, 16, 64)))
    with pytest.raises(UsageError, match=r"has 2 outputs \(out0, out1\); it takes one output"):
        OnnxDetector(path)


@pytest.mark.parametrize(
    "shape", [(1, 1, 32, 64), (2, 3, 32, 64), (1, 3, 32, "w"), (3, 32, 64), ("n", "c", 32, 64)]
)
def test_an_input_of_another_shape_is_named(tmp_path: Path, shape: Shape) -> None:
    path = constant(tmp_path / "d.onnx", np.zeros((1, 6)), shape)
    with pytest.raises(UsageError, match=r"has an input tensor\(float\) of shape \(.*takes .*\(1, 3, H, W\)"):
        OnnxDetector(path)


@pytest.mark.parametrize(
    ("shape", "layout", "words"),
    [
        ((1, 84, 20), "rows", r"shape \(1, 84, 20\); the layout 'rows' takes \(N, 6\) or \(1, N, 6\)"),
        ((5, 7), "rows", r"shape \(5, 7\)"),
        ((2, 5, 6), "rows", r"shape \(2, 5, 6\)"),
        ((20, 6), "yolov8", r"shape \(20, 6\); the layout 'yolov8' takes \(1, 4 \+ C, N\)"),
        ((1, 4, 20), "yolov8", r"shape \(1, 4, 20\)"),
    ],
)
def test_an_output_of_another_layout_is_found_before_the_work(
    tmp_path: Path, shape: tuple[int, ...], layout: str, words: str
) -> None:
    path = constant(tmp_path / "d.onnx", np.zeros(shape))
    with pytest.raises(UsageError, match=words):
        OnnxDetector(path, DetectorOptions(layout))


def test_an_output_that_only_shows_its_shape_when_run_is_named(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["in0"], ["out0"], axes=[0, 1], keepdims=0)
    path = write(tmp_path / "d.onnx", [mean], takes=((1, 3, "h", "w"),), gives=(("h", "w"),))
    detect = OnnxDetector(path)
    with pytest.raises(DerainError, match=r"an output of shape \(32, 64\); the layout 'rows' takes"):
        detect(night())


def test_a_model_that_fails_when_run_is_a_sentence(tmp_path: Path) -> None:
    reshape = helper.make_node("Reshape", ["in0", "shape"], ["out0"])
    path = write(tmp_path / "d.onnx", [reshape], {"shape": np.array([7, 6])}, takes=((1, 3, "h", "w"),))
    detect = OnnxDetector(path)
    with pytest.raises(DerainError, match=r"d\.onnx failed on an input of shape \(1, 3, 32, 64\): .*Reshape"):
        detect(night())


def test_a_layout_that_is_none_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no detector layout 'yolov5'; the layouts are rows, yolov8"):
        OnnxDetector(bright(tmp_path / "d.onnx"), DetectorOptions("yolov5"))
