"""`derain evaluate` of one recipe trained with several seeds: their mean, and how far they lie apart."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from rainy_sets import darker, evaluate, psnr, rained, scene, write

from derain.benchmarks.evaluation.contest import Contestant
from derain.benchmarks.evaluation.seeds import Seeds, seeds_among
from derain.engines.card import ModelCard, Tiling


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for index in range(2):
        write(tmp_path / "set" / "clean" / f"{index}.png", scene(index))
        write(tmp_path / "set" / "rainy" / f"{index}.png", rained(scene(index)))
    return tmp_path / "set"


def trained(folder: Path, levels: int, seed: int) -> Path:
    """What takes so many levels from every pixel, as if a training with `seed` had come to that."""
    weights, bias = np.eye(3, dtype=np.float32)[..., None, None], np.full(3, -levels / 255, np.float32)
    model = onnx_models.make(*onnx_models.convolutions("rainy", "restored", [(weights, bias)]))
    card = replace(
        onnx_models.CARD, name=f"seed{seed}", recipe="tiny, 9 steps", seed=seed, commit=f"at {seed}"
    )
    return onnx_models.save(model, folder, card)


LEVELS = {1: 10, 2: 20, 3: 30}
"""By seed, what the networks of `seeds` take."""


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    return [trained(tmp_path, levels, seed) for seed, levels in LEVELS.items()]


def test_the_mean_of_seeds_stands_beside_their_own_figures(
    pairs: Path, seeds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rivals = ["--against", f"{seeds[1]},{darker(tmp_path, 5, 'other')},{seeds[2]}"]
    (row,) = evaluate(seeds[0], pairs, *rivals, "--csv", tmp_path / "f.csv", "--html", tmp_path / "f.html")
    (group,) = row["seeds"]
    assert (group["model"], group["seeds"]) == ("mean of 3 seeds", [1, 2, 3])
    own = [row, row["against"]["seed2"], row["against"]["seed3"]]
    beside = [psnr(levels) for levels in LEVELS.values()]
    assert [model["areas"]["rain_free"] for model in own] == pytest.approx(beside)
    assert group["areas"]["rain_free"] == pytest.approx(np.mean(beside))
    assert group["deviation"]["areas"]["rain_free"] == pytest.approx(np.std(beside, ddof=1))
    for name in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"):
        figures = [model["restored"][name] for model in own]
        assert group["restored"][name] == pytest.approx(np.mean(figures))
        assert group["deviation"]["restored"][name] == pytest.approx(np.std(figures, ddof=1))
    assert group["gain_y"] == pytest.approx(np.mean([model["gain_y"] for model in own]))
    assert group["flicker"] is None is group["deviation"]["flicker"], "pictures have none"
    assert group["no_harm"]["psnr_y"] == pytest.approx(np.mean(beside), abs=1e-6)
    assert group["no_harm"]["worst_psnr_y"] == pytest.approx(psnr(30), abs=1e-6)
    lines = capsys.readouterr().out.splitlines()
    assert [line[34:54].strip() for line in lines[1:8]] == [
        "rainy",
        "seed1",
        "seed2",
        "other",
        "seed3",
        "mean of 3 seeds",
        "deviation of 3 seeds",
    ]
    assert f"{np.mean(beside):.2f}" in lines[6] and f"{np.std(beside, ddof=1):.2f}" in lines[7]
    assert lines[0].index("rain-free") + 9 == lines[6].rindex(f"{np.mean(beside):.2f}") + 5, "in their column"
    assert any(line.strip().startswith("mean of 3 seeds on clean pictures (2)") for line in lines)
    page = (tmp_path / "f.html").read_text()
    assert '<td class="text">mean of 3 seeds</td>' in page and ">deviation of 3 seeds<" in page
    table = list(csv.DictReader((tmp_path / "f.csv").read_text().splitlines()))
    assert [line["model"] for line in table[:7]][5:] == ["mean of 3 seeds", "deviation of 3 seeds"]
    of_one = [float(line["psnr_y_rain_free"]) for line in table[:7] if line["model"].startswith("seed")]
    assert float(table[5]["psnr_y_rain_free"]) == pytest.approx(np.mean(of_one), abs=1e-5)


def test_networks_that_are_no_seeds_of_one_another_have_no_mean(pairs: Path, tmp_path: Path) -> None:
    (row,) = evaluate(darker(tmp_path, 10, "a"), pairs, "--against", darker(tmp_path, 20, "b"))
    assert row["seeds"] == [] == row["pictures"][0]["seeds"]


def contestant(label: str, backend: str = "openvino", precision: str = "fp32", **card: object) -> Contestant:
    facts = {"recipe": "tiny, 9 steps", "version": "1", "removes": (), "licence": "MIT", **card}
    made = ModelCard(name=label, halo=0, multiple_of=1, tiling=Tiling.EXACT, **facts)  # type: ignore[arg-type]
    return Contestant(label, backend, precision, lambda pixels: pixels, card=made)


@pytest.mark.parametrize(
    "other",
    [
        contestant("b", seed=1),
        contestant("b", seed=None),
        contestant("b", seed=2, recipe="tiny, 8 steps"),
        contestant("b", seed=2, version="2"),
        contestant("b", seed=2, data=("more",)),
        contestant("b", seed=2, backend="onnxruntime"),
        contestant("b", seed=2, precision="int8"),
        Contestant("PReNet", "torch", "fp32", lambda pixels: pixels),
    ],
)
def test_what_differs_in_more_than_the_seed_is_not_taken_together(other: Contestant) -> None:
    assert seeds_among([contestant("a", seed=1), other]) == []


def test_networks_of_unknown_recipe_are_not_taken_together() -> None:
    assert seeds_among([contestant(name, seed=n, recipe="") for n, name in enumerate("ab")]) == []


def test_several_groups_are_told_apart_and_a_seed_counts_once() -> None:
    one, two, again = (contestant(name, seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 2)))
    first, last = (contestant(name, precision="int8", seed=seed) for name, seed in (("d", 2), ("e", 1)))
    assert seeds_among([one, first, two, again, last]) == [
        Seeds((0, 2), (1, 2), "2 seeds (a, b)"),
        Seeds((1, 4), (2, 1), "2 seeds (d, e)"),
    ]


def test_an_infinite_figure_has_no_deviation(pairs: Path, tmp_path: Path) -> None:
    """The first leaves what is beside the rain exactly as it was."""
    models = [trained(tmp_path, levels, seed) for seed, levels in ((1, 0), (2, 10))]
    file = tmp_path / "f.csv"
    evaluate(models[0], pairs, "--against", models[1], "--csv", file)
    lines = {line["model"]: line for line in csv.DictReader(file.read_text().splitlines())}
    assert math.isinf(float(lines["mean of 2 seeds"]["psnr_y_rain_free"]))
    assert lines["deviation of 2 seeds"]["psnr_y_rain_free"] == ""
