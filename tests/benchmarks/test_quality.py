"""`derain bench quality`: figures of one run, peers named that are left out, times in turns, the chart."""

import json
import math
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from data_folder import data_folder
from rainy_sets import RAIN, darker, psnr, rained, scene, write

from derain.benchmarks import quality, turns
from derain.benchmarks.evaluation.contest import Contestant
from derain.benchmarks.peers import prenet
from derain.benchmarks.peers.known import PEERS, loaded
from derain.benchmarks.quality import models, on_threads, speeds
from derain.benchmarks.quality_chart import HEIGHT, WIDTH, Panel, Point, chart, drawn
from derain.engines.engine import Pixels
from derain.engines.models import shipped
from derain.pipeline.cli import run

OURS = [path.stem for path in shipped()]


@pytest.fixture(autouse=True)
def _small_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "FRAME", (64, 36))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs; the rain covers a quarter of each."""
    for index in range(2):
        write(tmp_path / "set" / "clean" / f"{index}.png", scene(index))
        write(tmp_path / "set" / "rainy" / f"{index}.png", rained(scene(index)))
    return tmp_path / "set"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Published weights of one network, which finds nothing to take away, and a broken file of another."""
    places = [tmp_path / "peers" / "prenet" / "Rain100H" / name for name in ("PRN6_r", "PReNet6")]
    for place in places:
        place.mkdir(parents=True)
    network = prenet.ProgressiveNet(recurrent=False, recursive=True)
    torch.save(
        {k: torch.zeros_like(v) for k, v in network.state_dict().items()}, places[0] / "net_latest.pth"
    )
    (places[1] / "net_latest.pth").write_bytes(b"no weights")
    return tmp_path / "peers"


def bench(*words: object) -> int:
    return run(["bench", "quality", *map(str, words), "--frames", "2", "--threads", "1"])


def test_one_run_measures_all_that_can_be_and_names_the_rest(
    pairs: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark = darker(tmp_path, 10, "dark")
    (tmp_path / "model.onnx").write_bytes(dark.read_bytes())
    outputs = ("--json", tmp_path / "f.json", "--chart", tmp_path / "c.png")
    assert bench("--set", pairs, "--model", tmp_path / "model.onnx", "--peers", weights, *outputs) == 0
    table = capsys.readouterr().out
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    known = ["median 5x5", "bilateral 2, 0.3", *OURS, "dark", "PRN_r Rain100H"]
    assert names == ["method", "---", "rainy input", *known]
    assert "PReNet Rain100H is left out: " in table and "does not hold the weights of PReNet6" in table
    assert "A2Net is left out: there are no weights a2net/pretrained/latest_net_G.pth in" in table

    told = json.loads((tmp_path / "f.json").read_text())
    assert [one["name"] for one in told["methods"]] == known
    assert len(told["left_out"]) == len(PEERS) - 1 and "PRN_r Rain100H" not in told["left_out"]
    found = {one["name"]: one for one in told["methods"]}
    # 30 levels are left in the rain, which is a quarter, and 10 made beside it.
    assert found["dark"]["scores"]["set"]["psnr_y"] == pytest.approx(psnr(math.sqrt(300)))
    assert f"{psnr(math.sqrt(300)):.2f} / " in next(x for x in table.splitlines() if x.startswith("| dark"))
    assert found["PRN_r Rain100H"]["scores"]["set"] == told["sets"][0]["rainy"]
    assert told["sets"][0]["rainy"]["psnr_y"] == pytest.approx(psnr(RAIN, 1 / 4))
    assert found["PRN_r Rain100H"]["backend"] == "torch" and found["dark"]["sha256"]
    assert all(one["speed"]["ms"] > 0 and one["speed"]["timed"] == 2 for one in told["methods"])
    picture = cv2.imread(str(tmp_path / "c.png"))
    assert picture is not None and picture.shape == (HEIGHT, WIDTH, 3)


def test_only_the_methods_named_take_part(
    pairs: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--set", pairs, "--every", 2, "--peers", weights)
    assert bench(*words, "--method", "median 5x5", "--method", "PRN_r Rain100H") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[5:]] == ["median 5x5", "PRN_r Rain100H"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--method", "alexnet"), "--method knows median 5x5; bilateral 2, 0.3; realtime-s"),
        (("--chart", "c.jpg"), "--chart takes a name that ends in .png, not c.jpg"),
        (("--chart", "nowhere/c.png"), "nowhere"),
        (("--json", "one.png", "--chart", "one.png"), "two outputs are named one.png"),
        (("--peers", "nowhere"), "nowhere is not a folder"),
        (("--model", "nowhere.onnx"), "the model nowhere.onnx does not exist"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(
    words: tuple[str, ...], sentence: str, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--set", pairs, *words) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1


def test_a_run_without_any_method_left_says_why(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--set", pairs, "--peers", tmp_path, "--method", "A2Net") == 2
    assert "there is no method to measure; A2Net is left out: there are no weights" in capsys.readouterr().err


def test_every_peer_goes_by_the_name_of_its_critic(weights: Path) -> None:
    by_name = {peer.name: peer for peer in PEERS}
    assert len(by_name) == 14
    assert by_name["PRN_r Rain100H"].load(weights).name == "PRN_r Rain100H"


@pytest.mark.data
def test_the_published_weights_of_every_peer_fit() -> None:
    critics, left_out = loaded(PEERS, data_folder() / "peers")
    assert [critic.name for critic in critics] == [peer.name for peer in PEERS] and not left_out


def test_models_go_by_the_names_on_their_cards(tmp_path: Path) -> None:
    """What the user wrote follows where two would have one name, and a file named twice is one."""
    eigen, ours = darker(tmp_path, 1, "eigen2013-small"), darker(tmp_path, 2, OURS[0])
    texts = [str(path) for path in (eigen, ours, eigen)]
    found = models([*texts, OURS[0], f"{eigen}@onnxruntime"])
    assert [one.name for one in found[: len(OURS)]] == OURS
    assert [(one.name, one.kind) for one in found[len(OURS) :]] == [
        (f"eigen2013-small ({eigen})", "model"),
        (f"{OURS[0]} ({ours})", "model"),
        (f"eigen2013-small ({eigen}@onnxruntime)", "model"),
    ]
    assert models([str(eigen)])[-1].name == "eigen2013-small"


def test_times_are_medians_taken_in_turns_and_slow_methods_are_timed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, order = [0.0], list[str]()
    seconds = {"quick": iter((5.0, 0.01, 0.03, 0.02)), "slow": iter((30.0, 25.0))}
    monkeypatch.setattr(turns, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def by(name: str) -> Contestant:
        def restore(pixels: Pixels) -> Pixels:
            order.append(name)
            now[0] += next(seconds[name])
            return pixels

        return Contestant(name, "", "", restore)

    found = speeds([by("quick"), by("slow")], np.zeros((4, 4, 3), np.uint8), 3)
    assert order == ["quick", "slow", "quick", "slow", "quick", "quick"]
    assert [found[name].timed for name in ("quick", "slow")] == [3, 1]
    assert [found[name].ms for name in ("quick", "slow")] == pytest.approx([20, 25_000])


def test_threads_are_as_before_after_a_run() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    with on_threads(before[0] + 1):
        assert torch.get_num_threads() == cv2.getNumThreads() == before[0] + 1
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


def crowded() -> Panel:
    """Many methods of nearly the same figures, two of exactly the same."""
    points = [Point(f"PReNet_r training {i}", "peer", 20_000 + 90 * i, 36 - i / 10) for i in range(12)]
    points += [Point(f"small ${i}", "model", 70, 27.9) for i in range(2)]
    points += [Point("realtime-s", "ours", 50, 28.6), Point("none", "filter", 3, math.inf)]
    return Panel("crowded", 27.95, tuple(points))


def test_names_on_the_chart_lie_inside_it_and_not_on_one_another() -> None:
    (ax,) = drawn([crowded()], "machine", "a frame").axes
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert len(boxes) == 16 and "none" not in boxes
    for (one, box), (other, beside) in combinations(boxes.items(), 2):
        assert not box.overlaps(beside), (one, other)
    for name, box in boxes.items():
        assert ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1, name
        assert ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1, name


def test_the_chart_has_a_panel_for_each_set_whatever_could_be_measured() -> None:
    dry = Panel("dry", math.inf, (Point("realtime-s", "ours", 50, math.inf),))
    content = np.frombuffer(chart([crowded(), dry], "machine", "a frame"), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (2 * HEIGHT, WIDTH, 3)
