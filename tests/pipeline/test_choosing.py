"""Which network `--model auto` takes on this machine for this source, how it finds out, and that it tells."""

import json
import logging
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import clips
import numpy as np
import onnx_models
import psutil
import pytest
from fake_engine import FakeEngine

from derain.benchmarks.fps import Setup
from derain.benchmarks.fps import measure as bench
from derain.engines import openvino
from derain.engines.engine import EngineOptions, Pixels
from derain.engines.errors import UsageError
from derain.pipeline import Derainer, choosing, speeds
from derain.pipeline.choosing import Chosen, Pace, open_chosen
from derain.pipeline.cli import run
from derain.pipeline.images import Image, write_image
from derain.pipeline.restore import Restorer

ONNX = EngineOptions("onnxruntime")
HD = Pace(1280, 720, Fraction(25))
"""Of which 0.9 * 40 ms, less 50 ns for a pixel on two cores, are left: 13.0 ms."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def two_quiet_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "others_worked", lambda: 0.0)
    monkeypatch.setattr(choosing, "usable_cores", lambda: 2)
    monkeypatch.setattr(speeds, "usable_cores", lambda: 2)


@pytest.fixture
def family(shelf: Path) -> Path:
    """Three networks, a pixel of which takes 1, 4 and 16 ns of `took`."""
    for seed, name in enumerate(("realtime-s", "realtime-m", "realtime-l")):
        onnx_models.conv(shelf, name, seed=seed)
    return shelf


@pytest.fixture
def took(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Makes the three of the family take so long, and lists the measurements made."""
    measured: list[str] = []

    def measure(restorer: Restorer, frame: Pixels, enough: float) -> float:
        name = restorer.engine.card.name
        measured.append(f"{name} {frame.shape[1]}x{frame.shape[0]} {frame.dtype}")
        return {"realtime-s": 1e-9, "realtime-m": 4e-9, "realtime-l": 16e-9}[name] * (frame.size // 3)

    monkeypatch.setattr(speeds, "measure", measure)
    yield measured


def chosen(pace: Pace | None, options: EngineOptions = ONNX) -> Chosen:
    found = open_chosen("auto", options, pace)
    found.engine.close()
    assert found.engine.card.name == found.path.stem
    return found


@pytest.mark.parametrize(
    ("pace", "name", "why"),
    [
        (Pace(1280, 720, Fraction(22)), "realtime-l", "the best, keeps 22 fps with 14.7 of 17.9 ms a frame"),
        (HD, "realtime-m", "keeps 25 fps with 3.7 of 13.0 ms a frame; realtime-l takes 14.7"),
        (
            Pace(1280, 720, Fraction(30000, 1001)),
            "realtime-m",
            "keeps 29.97 fps with 3.7 of 7.0 ms a frame; realtime-l takes 14.7",
        ),
        (
            Pace(1280, 720, Fraction(35)),
            "realtime-s",
            "keeps 35 fps with 0.9 of 2.7 ms a frame; realtime-m takes 3.7",
        ),
        (Pace(1280, 720, Fraction(60)), "realtime-s", "the smallest; none keeps 60 fps"),
        (Pace(1280, 720, None), "realtime-s", "the smallest; the input tells no rate"),
        (None, "realtime-l", "the best; there is no rate to keep"),
    ],
)
def test_the_best_that_keeps_the_rate_is_taken_with_room_for_decoder_and_encoder(
    family: Path, took: list[str], pace: Pace | None, name: str, why: str
) -> None:
    found = chosen(pace)
    assert (found.path, found.why) == (family / f"{name}.onnx", why)


def test_no_more_than_one_is_measured_in_vain(family: Path, took: list[str]) -> None:
    chosen(Pace(1280, 720, Fraction(60)))
    assert took == ["realtime-s 1280x720 uint8"]
    chosen(Pace(640, 360, Fraction(140)))
    assert took[1:] == ["realtime-s 640x360 uint8", "realtime-m 640x360 uint8"]


def test_where_none_keeps_the_rate_a_sentence_says_so(
    family: Path, took: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    chosen(HD)
    assert caplog.messages == []
    chosen(Pace(1280, 720, Fraction(60)))
    (told,) = caplog.messages
    assert told.startswith(
        "no shipped network keeps 60 fps of 1280x720 on this machine: realtime-s takes 0.9 ms a frame where"
    )


def test_a_measurement_is_kept_for_the_same_case_only(family: Path, took: list[str]) -> None:
    for _ in range(2):
        chosen(HD)
    assert len(took) == 3
    for options in (
        EngineOptions("onnxruntime", threads=1),
        EngineOptions("onnxruntime", dtype="uint16"),
        EngineOptions("openvino"),
    ):
        chosen(HD, options)
        assert len(took) == 6
        chosen(HD, options)
        assert len(took) == 6
        del took[3:]
    onnx_models.conv(family, "realtime-m", seed=7)
    chosen(HD)
    assert took[3:] == ["realtime-m 1280x720 uint8"], "its weights are others"


def test_a_measurement_is_forgotten_after_a_day_and_where_it_is_damaged(
    family: Path, took: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(HD)
    later = time.time() + 86_401
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        chosen(HD)
    assert len(took) == 6
    for path in (tmp_path / "cache" / "derain" / "speeds").iterdir():
        path.write_text(path.read_text()[:40])
    assert speeds.kept() == []
    chosen(HD)
    assert len(took) == 9


def test_what_was_measured_beside_other_work_is_not_kept(
    family: Path, took: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds now, but would be wrong tomorrow."""
    monkeypatch.setattr(speeds, "others_worked", lambda: 0.2 * time.perf_counter())
    for count in (3, 6):
        assert chosen(HD).path.stem == "realtime-m"
        assert (len(took), speeds.kept()) == (count, [])
    monkeypatch.setattr(speeds, "others_worked", lambda: 0.05 * time.perf_counter())
    chosen(HD)
    chosen(HD)
    assert len(took) == 9


def test_others_are_all_processes_but_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    times = SimpleNamespace(user=9.0, system=4.0, steal=1.0, guest=3.0, idle=50.0, iowait=20.0)
    monkeypatch.undo()
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(time, "process_time", lambda: 6.0)
    assert speeds.others_worked() == 2.0


def test_another_machine_measures_for_itself(
    family: Path, took: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(HD)
    assert len(speeds.kept()) == 3
    monkeypatch.setattr(speeds, "cpu_name", lambda: "another")
    assert speeds.kept() == []
    chosen(HD)
    assert len(took) == 6


def test_without_a_cache_it_measures_each_time(
    family: Path, took: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    options = EngineOptions("onnxruntime", cache_dir=tmp_path / "file")
    for count in (3, 6):
        assert chosen(HD, options).path.stem == "realtime-m"
        assert len(took) == count
    assert f"measured speeds are not kept: the cache {tmp_path / 'file' / 'speeds'}" in caplog.text


def test_a_larger_one_that_does_not_run_is_left_out_and_named(
    family: Path, took: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (family / "realtime-m.onnx").write_bytes(b"damaged")
    found = chosen(HD)
    assert (found.path.stem, found.why) == (
        "realtime-s",
        "keeps 25 fps with 0.9 of 13.0 ms a frame; realtime-m does not run",
    )
    assert (
        f"realtime-m is not taken: the model {family / 'realtime-m.onnx'} is not an ONNX file" in caplog.text
    )


def test_a_single_one_is_taken_unmeasured(shelf: Path, took: list[str]) -> None:
    onnx_models.conv(shelf, "realtime-s")
    found = chosen(HD)
    assert (found.path.stem, found.why, took) == ("realtime-s", "", [])


def test_a_name_or_a_path_is_taken_unmeasured(family: Path, took: list[str]) -> None:
    for model in ("realtime-l", family / "realtime-l.onnx", str(family / "realtime-l.onnx")):
        found = open_chosen(model, ONNX, HD)
        found.engine.close()
        assert (found.path, found.why) == (family / "realtime-l.onnx", "")
    assert took == []


def test_engines_that_are_not_taken_are_closed(
    family: Path, took: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(
        "derain.engines.onnxruntime.OnnxRuntimeEngine._free", lambda engine: closed.append(engine.card.name)
    )
    found = open_chosen("auto", ONNX, HD)
    assert closed == ["realtime-s", "realtime-l"]
    found.engine.close()
    assert closed[2:] == ["realtime-m"]

    def interrupted(restorer: Restorer, frame: Pixels, enough: float) -> float:
        raise KeyboardInterrupt

    del closed[:]
    onnx_models.conv(family, "realtime-m", seed=8)
    monkeypatch.setattr(speeds, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_chosen("auto", ONNX, HD)
    assert sorted(closed) == ["realtime-m", "realtime-s"]


@pytest.mark.parametrize(
    ("seconds", "enough", "told", "frames"),
    [
        ([9.0, 0.2, 0.4, 0.3, 5.0, 0.1], 0.5, 0.3, 6),  # the first compiles; a hiccup does not count
        ([9.0, 3.0, 2.0], 0.5, 2.5, 3),  # hopeless
        ([9.0, 3.0, 0.5, 0.5, 0.5, 0.5], 0.5, 0.5, 6),  # one slow frame is not hopeless
    ],
)
def test_a_few_frames_are_timed_fewer_of_a_network_far_too_slow(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], enough: float, told: float, frames: int
) -> None:
    now, left = [0.0], iter(seconds)

    def work(batch: Pixels) -> Pixels:
        now[0] += next(left)
        return batch

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    engine = FakeEngine(function=work)
    frame = np.zeros((4, 6, 3), np.uint8)
    assert speeds.measure(Restorer(engine), frame, enough) == pytest.approx(told)
    assert engine.shapes == [(1, 4, 6, 3)] * frames


def test_it_is_measured_with_its_tiles_and_its_memory(shelf: Path) -> None:
    """With the real clock, only that it runs."""
    for name in ("realtime-s", "realtime-m"):
        onnx_models.recurrent(shelf, name)
    for tile in ("auto", 24):
        found = open_chosen("auto", ONNX, Pace(61, 45, Fraction(1, 10)), tile)
        found.engine.close()
        assert (found.path.stem, found.why[:19]) == ("realtime-m", "the best, keeps 0.1")
    assert len(speeds.kept()) == 4


def test_int8_is_what_is_measured_where_it_is_what_runs(
    family: Path, took: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_models.conv(family, "realtime-s", precision="int8").rename(family / "realtime-s.int8.onnx")
    onnx_models.conv(family, "realtime-s")
    monkeypatch.setattr("derain.engines.machine.cpu_features", lambda: ("AVX-VNNI",))
    monkeypatch.setattr(openvino, "precisions", lambda core: ("fp32",))
    found = chosen(Pace(1280, 720, Fraction(60)), EngineOptions("openvino"))
    assert found.engine.precision == "int8"
    assert [(one.backend, one.precision) for one in speeds.kept()] == [("openvino", "int8")]


def test_a_video_tells_in_its_first_line_and_in_json(
    family: Path, took: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(clips.Clip(times=range(4)).write(tmp_path / "rain.mp4"))  # at 25 fps
    assert run(["video", clip, str(tmp_path / "dry.mp4"), "--backend", "onnxruntime"]) == 0
    why = "the best, keeps 25 fps with 0.0 of 35.9 ms a frame"
    assert f"derain: model realtime-l 1 ({why}), onnxruntime fp32" in capsys.readouterr().err
    assert took == ["realtime-s 64x48 uint8", "realtime-m 64x48 uint8", "realtime-l 64x48 uint8"]
    line = ["video", clip, str(tmp_path / "json.mp4"), "--backend", "onnxruntime", "--json"]
    assert run(line) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (start["model"], start["model_reason"]) == ("realtime-l", why)
    assert run([*line[:2], str(tmp_path / "named.mp4"), "--json", "--model", "realtime-s"]) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (start["model"], start["model_reason"]) == ("realtime-s", "")


def test_pictures_are_restored_by_the_best(
    family: Path, took: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(Image(np.full((48, 64, 3), 9, np.uint8)), tmp_path / "rainy.png")
    line = ["image", str(tmp_path / "rainy.png"), str(tmp_path / "dry.png"), "--backend", "onnxruntime"]
    assert run(line) == 0
    assert "model realtime-l 1 (the best; there is no rate to keep), onnx" in capsys.readouterr().err
    assert run([*line, "--overwrite", "--json"]) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (start["model"], start["model_reason"]) == ("realtime-l", "the best; there is no rate to keep")
    assert took == []


def test_bench_takes_what_a_video_would(family: Path, took: list[str], tmp_path: Path) -> None:
    clip = clips.Clip(times=range(4)).write(tmp_path / "rain.mp4")
    assert bench(clip, Setup("auto", ONNX, 3)).model == "realtime-l 1"
    assert took == ["realtime-s 64x48 uint8", "realtime-m 64x48 uint8", "realtime-l 64x48 uint8"]


def test_a_derainer_is_given_its_pace(family: Path, took: list[str]) -> None:
    with Derainer(backend="onnxruntime") as derainer:
        assert (derainer.card.name, took) == ("realtime-l", [])
    with Derainer(backend="onnxruntime", rate=25, size=(1280, 720)) as derainer:
        assert derainer.card.name == "realtime-m"
        assert derainer.model_reason == "keeps 25 fps with 3.7 of 13.0 ms a frame; realtime-l takes 14.7"
        deep = derainer(np.full((8, 8, 3), 40_000, np.uint16))
    with Derainer("realtime-m", backend="onnxruntime") as named:
        assert np.array_equal(named(np.full((8, 8, 3), 40_000, np.uint16)), deep), "of either depth"


def test_half_a_pace_is_refused(family: Path) -> None:
    with pytest.raises(UsageError, match=r"rate and size .* give both"):
        Derainer(rate=25)
    with pytest.raises(UsageError, match=r"rate and size .* give both"):
        Derainer(size=(64, 48))
    with pytest.raises(UsageError, match=r"the pace is 0 frames of \(64, 48\) a second"):
        Derainer(rate=0, size=(64, 48))


def test_the_log_tells_what_is_measured(
    family: Path, took: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "derain"):
        chosen(Pace(64, 48, None))
        assert "measuring" not in caplog.text
        chosen(Pace(64, 48, Fraction(10)))
    assert [text for text in caplog.messages if "measuring" in text] == [
        f"measuring realtime-{size} at 64x48" for size in "sml"
    ]
