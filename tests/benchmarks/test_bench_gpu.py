"""`derain bench gpu`, gone through on the CPU, so that it can't fail on the day there is a card."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from card_video import CardEngine
from flying_engine import FlyingEngine
from onnx import TensorProto, helper, numpy_helper

from derain.benchmarks.gpu.apart import Found, Section, measured
from derain.benchmarks.gpu.conformance import counted
from derain.benchmarks.gpu.limits import Rates, beside, work
from derain.benchmarks.gpu.plan import Plan
from derain.benchmarks.gpu.report import SECTIONS, WHOLE, markdown, targets
from derain.benchmarks.gpu.speed import fitted, from_host, of_engine
from derain.benchmarks.gpu.streams import held
from derain.benchmarks.pattern import write_pattern
from derain.engines.device.host import HostDevice
from derain.engines.engine import EngineOptions
from derain.engines.registry import open_engine
from derain.pipeline.cli import run
from derain.pipeline.restore import Restorer

SICK = Section("sick", "Sick", "gpu_sections", 1)


def test_all_of_it_goes_through_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--json", str(tmp_path / "it.json"), "--markdown", str(tmp_path / "it.md")]
    assert run(["bench", "gpu", "--rehearse", "--tests", str(Path(__file__).parents[1]), *files]) == 0
    found = json.loads((tmp_path / "it.json").read_text())
    assert found["rehearsal"] and list(found["sections"]) == [section.name for section in SECTIONS]
    ends = {name: one["ended"] for name, one in found["sections"].items() if one["ended"]}
    assert list(ends) == ["peers"] and "name the folder of its weights with --peers" in ends["peers"]
    for section in found["sections"].values():
        assert section["rows"] and not any(row.get("problem") for row in section["rows"])
    assert [row["failed"] for row in found["sections"]["conformance"]["rows"]] == [0]
    assert "No figure here means anything" in (tmp_path / "it.md").read_text()
    assert "| streams of 1080p at 30 a second | 16 |" in capsys.readouterr().out


def test_the_shares_are_the_whole() -> None:
    assert sum(section.share for section in SECTIONS) == WHOLE < 8 * 60


def test_without_a_card_it_says_what_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "gpu"]) == 2
    told = capsys.readouterr().err
    assert "no backend for NVIDIA's cards runs here (" in told and "--rehearse goes through all of it" in told


@pytest.mark.parametrize(
    ("how", "ended"),
    [
        ("crash", "it crashed (exit code 11)"),
        ("hang", "it was ended after 8 s"),
        ("fail", "DerainError: the card is gone"),
    ],
)
def test_a_section_that_ends_badly_keeps_what_it_found(how: str, ended: str) -> None:
    found = measured(SICK, Plan((how,), ()), limit=8 if how == "hang" else 60)
    assert (found.rows, found.ended) == ([{"what": "first"}], ended)


def test_a_section_that_ends_well_has_all_rows() -> None:
    found = measured(SICK, Plan(("well",), ()), limit=60)
    assert (found.rows, found.ended) == ([{"what": "first"}, {"what": "last"}], "")


def test_pictures_on_a_card_are_timed_by_its_clock(tmp_path: Path) -> None:
    path = onnx_models.unshuffle(tmp_path)
    plan = Plan((str(path),), ("cpu",), sizes=(("tiny", (20, 18)),), batches=(2,), spell=0.01)
    with CardEngine(open_engine(path, EngineOptions("cpu")), HostDevice()) as engine:
        rows = list(of_engine(engine, plan))
        assert engine.enqueued >= 8
    assert [row["pictures on"] for row in rows] == ["host", "card"]
    assert all(row["fps"] > 0 and row["p99 ms"] >= row["p50 ms"] > 0 for row in rows)


def test_as_many_batches_are_in_flight_as_the_engine_takes(tmp_path: Path) -> None:
    path = onnx_models.unshuffle(tmp_path)
    with open_engine(path, EngineOptions("cpu")) as inner:
        engine = FlyingEngine(inner, in_flight=3)
        assert from_host(engine, fitted(inner.card.multiple_of, 1, (16, 16)), 0.01)["fps"] > 0
        assert engine.peak == 3


def test_a_stream_that_comes_too_late_is_dropped_not_restored(tmp_path: Path) -> None:
    clip, path = tmp_path / "clip.mp4", onnx_models.unshuffle(tmp_path)
    write_pattern(clip, 32, 32, 6)
    with open_engine(path, EngineOptions("cpu")) as engine:
        row = held(Restorer(engine), clip, 2)
        assert row["restored"] + row["dropped"] == 12 and row["p99 ms"] >= row["p50 ms"] > 0


def test_a_convolution_is_counted_by_what_it_gives() -> None:
    weight = numpy_helper.from_array(np.zeros((5, 3, 3, 3), np.float32), "weight")
    node = helper.make_node("Conv", ["rainy", "weight"], ["restored"], strides=[2, 2], pads=[1, 1, 1, 1])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"])
        for name, channels in (("rainy", 3), ("restored", 5))
    ]
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], [weight])
    found = work(helper.make_model(graph), (2, 8, 12))
    assert (found.values, found.macs) == (2 * 5 * 4 * 6, 2 * 5 * 4 * 6 * 27)


def test_the_bus_takes_both_ways_at_once() -> None:
    row = beside({"host": 50.0, "card": 80.0}, 10_000_000, 5_000_000, Rates(1e9, 0.5e9, 4e9))
    assert (row["fps by bus"], row["fps by memory"]) == (100.0, 400.0)
    assert (row["share of bus"], row["of memory"]) == (0.5, 0.2)


def test_pytest_s_results_are_counted() -> None:
    bad = '<testcase name="b"><failure/></testcase><testcase name="c"><error/></testcase>'
    cases = f'<testcase name="a"/>{bad}<testcase name="d"><skipped/></testcase>'
    found = counted(ET.fromstring(f"<testsuites><testsuite>{cases}</testsuite></testsuites>"))
    assert found == {"passed": 1, "failed": 2, "skipped": 1, "first": "b"}


def test_targets_are_told_beside_what_was_measured() -> None:
    streams = [{"streams": 8, "dropped": 0}, {"streams": 16, "dropped": 3}]
    found = {
        "speed": Found([{"size": "4K", "fps": 100.0}, {"size": "4K", "fps": 260.5}], 1),
        "streams": Found(streams, 1, "it was ended after 1 s"),
    }
    assert [row["here"] for row in targets(found)] == [260.5, "not measured", 8, "not measured"]
    told = markdown(found, "# Head")
    assert "| size | fps |\n| --- | --- |\n| 4K | 100.0 |" in told
    assert "It ended before its end: it was ended after 1 s" in told
