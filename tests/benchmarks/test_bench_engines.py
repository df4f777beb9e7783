"""`derain bench engines`: a table of plans, and the whole matrix of networks where there is time."""

import json
from dataclasses import replace
from pathlib import Path

import onnx_models
import pytest
from onnx import helper
from rtx import needs_rtx

from derain.benchmarks.engines import Row, Table, markdown, profile_of, rows
from derain.benchmarks.exported import write
from derain.engines import trt
from derain.engines.modelfile import open_model
from derain.pipeline.cli import run
from derain.train.networks.registry import NETWORKS, entry

ALL = ("75", "80", "86", "89", "120")


def test_the_table_has_a_row_a_network_and_why_what_was_not_built() -> None:
    found = [
        Row("rain", "fp32", "fixed", ALL, 1_250_000, 2.04),
        Row("rain", "int8", "fixed", ALL, refused="it is recurrent"),
        Row("snow", "int8", "fixed", ("86",), 400_000, 0.5),
    ]
    assert markdown(found) == (
        "| network | cards | fp32 fixed | int8 fixed |\n"
        "| --- | --- | --: | --: |\n"
        "| `rain` | 75 80 86 89 120 | 1.2 MB, 2.0 s | no |\n"
        "| `snow` | 86 |  | 0.4 MB, 0.5 s |\n"
        "\n"
        "- `rain` in int8: it is recurrent\n"
    )


def test_shapes_are_what_the_network_takes(tmp_path: Path) -> None:
    file = open_model(onnx_models.unshuffle(tmp_path, factor=32))
    assert list(profile_of(file, "fixed")) == [(1, 736, 1280)] * 3
    assert list(profile_of(file, "dynamic")) == [(1, 32, 32), (1, 736, 1280), (4, 1088, 1920)]


def test_an_unknown_card_or_precision_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "engines", "--cards", "86,90"]) == 2
    assert "--cards takes 75, 80, 86, 89, 120, 121, not '90'" in capsys.readouterr().err
    assert run(["bench", "engines", "--precisions", "int4"]) == 2
    assert "--precisions takes fp32, fp16, bf16, int8, fp8, not 'int4'" in capsys.readouterr().err


@needs_rtx
def test_plans_are_built_and_refusals_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, odd = onnx_models.unshuffle(tmp_path, channels=16), tmp_path / "odd.onnx"
    odd_node = helper.make_node("Bernoulli", ["rainy"], ["restored"], name="by_chance")
    onnx_models.save(onnx_models.make([odd_node]), tmp_path, replace(onnx_models.CARD, name="odd"))
    words = ["--cards", "86,89", "--apart", "--precisions", "fp16,fp8"]
    files = ["--json", str(tmp_path / "it.json"), "--markdown", str(tmp_path / "it.md")]
    assert run(["bench", "engines", str(good), str(odd), *words, *files]) == 0
    found = json.loads((tmp_path / "it.json").read_text())
    assert found["runtime"].startswith("tensorrt_rtx 1.")
    sizes = {
        (row["network"], row["precision"], row["shapes"], *row["cards"]): row["size"] for row in found["rows"]
    }
    assert len(sizes) == 16
    assert all(
        sizes["unshuffle", "fp16", shapes, card] for shapes in ("fixed", "dynamic") for card in ("86", "89")
    )
    assert sizes["unshuffle", "fp8", "fixed", "89"] and not sizes["unshuffle", "fp8", "fixed", "86"]
    told = (tmp_path / "it.md").read_text()
    assert "- `unshuffle` in fp8: cards of compute capability 86 can't compute in fp8" in told
    assert "can't take the network odd: its node 'by_chance' (Bernoulli)" in told
    assert capsys.readouterr().out.count("\n") == 16


@needs_rtx
@pytest.mark.slow
@pytest.mark.parametrize("name", [row.name for row in NETWORKS])
def test_every_network_builds_for_all_cards(name: str, tmp_path: Path) -> None:
    write(entry(name), 0.1, tmp_path / "network.onnx")
    file = open_model(tmp_path / "network.onnx")
    found = rows(file, trt.load("tensorrt_rtx"), Table(("fp32", "fp16"), (ALL,)))
    assert [row.refused for row in found] == [""] * 4
