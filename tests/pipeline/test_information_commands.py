"""`derain doctor` and `derain models` as a user or a wrapper runs them."""

import json
from pathlib import Path

import onnx_models
import pytest

from derain.engines import models, onnxruntime, openvino
from derain.engines.engine import EngineOptions
from derain.engines.registry import open_engine
from derain.pipeline import speeds
from derain.pipeline.cli import run


@pytest.fixture
def two(shelf: Path) -> tuple[Path, ...]:
    """Two networks on the shelf."""
    first = onnx_models.identity(
        shelf,
        name="realtime-s",
        halo=12,
        removes=("streaks", "drops"),
        quality={"Rain100L": "28.5 dB (+1.6)"},
        speed={"1280x720": "67.5 ms a frame on two cores"},
        data=("photos (CC0)",),
        recipe="realtime-s, 40000 steps",
        seed=7,
        commit="0123abc",
    )
    return first, onnx_models.identity(shelf, name="other")


def test_models_shows_each_card(two: tuple[Path, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    shown, other = capsys.readouterr().out.split("\n\n")
    assert shown.splitlines()[0] == "realtime-s 1 (default)"
    for fact in (
        "removes: streaks, drops",
        "quality: Rain100L: 28.5 dB (+1.6)",
        "speed: 1280x720: 67.5 ms a frame on two cores",
        "data: photos (CC0)",
        "licence: MIT",
        "trained: realtime-s, 40000 steps, seed 7, commit 0123abc",
        "tiles: exact, halo 12 pixels, sizes in multiples of 1",
        "attention maps: none",
        f"file: {two[0]} (",
    ):
        assert f"  {fact}" in shown
    assert other.splitlines()[0] == "other 1"
    assert "quality" not in other, "what a card does not tell is not made up"


def test_models_on_a_terminal(
    two: tuple[Path, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run(["models"]) == 0
    shown = capsys.readouterr().out
    assert "realtime-s 1 (default)" in shown
    assert "streaks, drops" in shown


def test_models_for_wrappers(two: tuple[Path, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["choice"], second["choice"]) == (1, None)
    assert first["card"]["quality"] == {"Rain100L": "28.5 dB (+1.6)"}
    assert first["card"]["removes"] == ["streaks", "drops"]
    assert first["size"] == two[0].stat().st_size


def test_models_reads_the_card_of_any_file(
    two: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = onnx_models.identity(tmp_path, name="mine")
    assert run(["models", str(mine), "other"]) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if line and not line.startswith(" ")]
    assert titles == ["mine 1", "other 1"]


def test_models_tells_which_has_an_attention_map(
    two: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, joint = str(onnx_models.attentive(tmp_path)), str(onnx_models.mapped(tmp_path))
    assert run(["models", mine, joint]) == 0
    told = capsys.readouterr().out
    assert "  attention maps: rain, for --show-attention\n" in told
    assert "  attention maps: drops, streaks, for --show-attention, --keep-drops, --keep-streaks\n" in told
    assert run(["models", mine, joint, "other", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [network["attention"] for network in listed] == [True, True, False]
    assert [network["card"]["attention"] for network in listed] == [["rain"], ["drops", "streaks"], []]


def test_models_begins_with_those_that_auto_chooses_among(
    two: tuple[Path, ...], shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("realtime-l", "glance"):
        onnx_models.identity(shelf, name=name)
    assert run(["models"]) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if line and not line.startswith(" ")]
    assert titles == [
        "realtime-l 1 (auto: choice 1 of 2)",
        "realtime-s 1 (auto: choice 2 of 2)",
        "other 1",
        "glance 1",
    ]


def test_models_tells_what_each_is_for_the_glance_last(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx_models.conv(shelf, "realtime-s")
    onnx_models.recurrent(shelf, "realtime-s-video")
    onnx_models.glance(shelf, removes=(), quality={}, dry_below=0.3)
    assert run(["models"]) == 0
    told = capsys.readouterr().out.split("\n\n")
    assert [network.splitlines()[0] for network in told] == [
        "realtime-s-video 1 (auto: choice 1 of 2 for videos)",
        "realtime-s 1 (auto: choice 2 of 2 for videos, 1 of 1 for pictures)",
        "glance 1",
    ]
    uses = [network.splitlines()[1] for network in told]
    assert uses[0] == "  use: videos: it remembers the frames before"
    assert uses[1] == "  use: pictures and videos"
    assert uses[2].startswith("  use: looks for rain while dry frames skip the network")
    assert "  licence: MIT\n" in told[2], "its card is shown as any other's"
    assert run(["models", "glance", "realtime-s", "--json"]) == 0
    glance, still = json.loads(capsys.readouterr().out)
    assert (glance["choice"], glance["video_choice"], glance["card"]["dry_below"]) == (None, None, 0.3)
    assert (still["choice"], still["video_choice"], still["use"]) == (1, 2, "pictures and videos")
    assert run(["video", "in.mp4", "out.mp4", "--model", "glance"]) == 2, "it is not offered for restoring"


def test_models_tells_what_was_measured_here(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the INT8 file as well, which is the same network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    exact = onnx_models.conv(shelf, "realtime-s", seed=1)
    rough = onnx_models.conv(shelf, "realtime-s", seed=2, precision="int8")
    rough.rename(shelf / "realtime-s.int8.onnx")
    onnx_models.conv(shelf, "realtime-s", seed=1)
    monkeypatch.setattr(speeds, "others_worked", lambda: 0.0)
    monkeypatch.setattr(speeds, "measure", lambda restorer, frame, enough: frame.shape[1] / 1e3)
    for path, backend, threads in ((exact, "onnxruntime", None), (models.int8_of(exact), "openvino", 2)):
        options = EngineOptions(backend, threads=threads)
        with open_engine(path, options) as engine:
            speeds.seconds_a_frame(engine, options, "auto", (64, 48), 1.0)
    assert run(["models"]) == 0
    told = "64x48: 64.0 ms a frame, onnxruntime fp32; 64x48: 64.0 ms a frame, openvino int8, threads: 2"
    assert f"  speed here: {told}\n" in capsys.readouterr().out
    assert run(["models", "--json"]) == 0
    (network,) = json.loads(capsys.readouterr().out)
    assert [(one["width"], one["seconds"]) for one in network["here"]] == [(64, 0.064)] * 2


def test_models_without_any(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    assert "no network is shipped" in capsys.readouterr().out
    assert run(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_models_refuses_a_file_without_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", str(onnx_models.without_card(tmp_path))]) == 2
    assert "has no derain card" in capsys.readouterr().err


def test_doctor_says_what_will_run(two: tuple[Path, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "Networks shipped: realtime-s, other\n",
        "Networks run on: openvino",
        "  openvino: works",
        "  H.264: libx264",
        "Compiled models: ",
    ):
        assert line in shown
    assert "INT8 on the CPU: this version of derain ships no INT8 network" in shown


def test_doctor_names_what_auto_chooses_among(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("realtime-s", "realtime-m", "other"):
        onnx_models.identity(shelf, name=name)
    onnx_models.identity(shelf, name="realtime-s.int8", precision="int8")
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    auto = "--model auto: the best of the first 2 that keeps the source's rate"
    assert f"Networks shipped: realtime-m, realtime-s, other ({auto})\n" in shown
    assert "ships no INT8 network" not in shown


def test_doctor_for_wrappers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["backend"] == "openvino"
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["onnxruntime"]


def test_doctor_fails_where_nothing_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for backend in (openvino, onnxruntime):
        monkeypatch.setattr(backend, "unavailable", lambda: "it is broken")
    assert run(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "Networks run on: nothing" in shown
    assert "  openvino: it is broken" in shown
