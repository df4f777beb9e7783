"""`derain train`: what is wrong is one sentence before the training, and Ctrl-C leaves a run that goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import paired_sets
import pytest
import torch
from tiny_runs import curves, here, kept, photographs, same, tiny

from derain.pipeline.cli import run
from derain.train.checkpoint import read
from derain.train.recipe import DataRecipe, LossRecipe, NetworkRecipe, Recipe, load_recipe, to_toml
from derain.train.trainer import train

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photographs(tmp_path / "data")


def told(recipe: Recipe, data: Path, *arguments: str) -> list[str]:
    """The command line of a recipe in a file beside its data, its run folder there too."""
    path = data.parent / "recipe.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    places = ("--data", str(data), "--output", str(data.parent / "run"))
    return ["train", str(path), *places, "--workers", "0", *arguments]


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that can't be run says: one sentence, exit code 2."""
    assert run(command) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("derain: ") and sentence.count("\n") == 1
    return sentence


def test_it_prints_where_the_checkpoint_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(told(tiny(), data, "--set", "train.steps=1", "--set", "seed=5")) == 0
    checkpoint = data.parent / "run" / "checkpoint.pt"
    assert capsys.readouterr().out == f"{checkpoint}\n"
    assert read(checkpoint)["recipe"]["seed"] == 5


def test_a_folder_that_holds_a_run_is_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = told(tiny(), data, "--set", "train.steps=1")
    assert run(command) == 0
    before = (data.parent / "run" / "checkpoint.pt").read_bytes()
    assert "holds a run already; go on with --resume, or give another --output" in refused(command, capsys)
    assert (data.parent / "run" / "checkpoint.pt").read_bytes() == before
    assert run([*command, "--resume"]) == 0, "it has come to its end, and stays as it is"


PAIRED = DataRecipe(pairs=("pairs",), pairs_share=1.0)


def none(data: Path) -> None:
    shutil.rmtree(data / "photos")


def empty(data: Path) -> None:
    for photo in (data / "photos").iterdir():
        photo.unlink()


def one_photo(data: Path) -> None:
    for number in range(1, 5):
        (data / "photos" / f"{number}.png").unlink()


def no_twin(data: Path) -> None:
    paired_sets.plain(data / "pairs")
    (data / "pairs" / "clean" / "1.png").unlink()


def small_pairs(data: Path) -> None:
    for place in ("rainy", "clean"):
        paired_sets.write(data / "pairs" / place / "0.png", paired_sets.scene(0, 24, 64))


def small_halves(data: Path) -> None:
    both = paired_sets.scene(0, 40, 60)
    paired_sets.write(data / "pairs" / "Rain_Heavy" / "train2018new" / "0.jpg", both)


def nothing(data: Path) -> None:
    """Leaves the data as it is."""


WRONG = {
    "photos is not a folder": (none, tiny()),
    "photos has no pictures (": (empty, tiny()),
    "photos has one picture, which is held out from training; add some": (one_photo, tiny()),
    "pairs is not a folder": (nothing, replace(tiny(), data=PAIRED)),
    "has no twin: 1": (no_twin, replace(tiny(), data=PAIRED)),
    "0.png is 64x24, smaller than a patch of 32x32; give --set train.patch=24 or less": (
        small_pairs,
        replace(tiny(), data=PAIRED),
    ),
    "0.jpg is 30x40, smaller than a patch of 32x32": (small_halves, replace(tiny(), data=PAIRED)),
    "1.png is 80x64, smaller than a patch of 96x96": (
        nothing,
        replace(tiny(), train=replace(tiny().train, patch=96)),
    ),
    "elsewhere is not a folder": (
        nothing,
        replace(tiny(), validation=replace(tiny().validation, pairs=("elsewhere",))),
    ),
    "[train] patch takes multiples of 32 with realtime-s, not 40": (
        nothing,
        replace(tiny(), train=replace(tiny().train, patch=40)),
    ),
    "[network] name takes eigen2013, ": (
        nothing,
        replace(tiny(), network=replace(tiny().network, name="unreal")),
    ),
    "[loss] name takes restoration, glance, ": (
        nothing,
        replace(tiny(), loss=replace(tiny().loss, name="l3")),
    ),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_wrong_is_told_before_a_run_folder_is_made(
    sentence: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, recipe = WRONG[sentence]
    spoil(data)
    assert sentence in refused(told(recipe, data), capsys)
    assert not (data.parent / "run").exists()


@pytest.mark.parametrize(
    "arguments,sentence",
    [
        (["--time-limit", "soon"], "--time-limit takes seconds, or 90s, 15m, 2h, not 'soon'"),
        (["--workers", "-1"], "-1 is not in the range x>=0"),
        (["--vgg16", "none.pt"], "derain: no VGG16 weights at none.pt; give torchvision's state dict"),
        (["--set", "train.batch"], "--set takes key=value such as train.batch=4, not 'train.batch'"),
        (
            ["--device", "cuda"],
            "--device cuda needs an NVIDIA GPU and torch built for it; leave it out for the CPU",
        ),
    ],
)
def test_wrong_options_are_told(
    arguments: list[str], sentence: str, data: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    looking = replace(tiny(), network=NetworkRecipe("attentive-gan"), loss=LossRecipe("attentive-gan"))
    recipe = looking if arguments[0] == "--vgg16" else tiny()
    assert sentence in refused(told(recipe, data, *arguments), capsys)
    assert not (data.parent / "run").exists()


def test_weights_that_do_not_fit_are_told_before_a_run_folder_is_made(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = data / "photos" / "0.png"
    assert "0.png is not a checkpoint" in refused(told(tiny(), data, "--start-from", str(photo)), capsys)
    assert not (data.parent / "run").exists()


def wait_for(path: Path, text: str, process: subprocess.Popen[str]) -> None:
    """Until a file has that text; fails where the process ends before."""
    while not path.is_file() or text not in path.read_text(encoding="utf-8"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(data: Path) -> None:
    """Of a terminal, which tells the processes that make patches too."""
    longer = replace(tiny(), train=replace(tiny().train, steps=60))
    command = told(longer, data, "--workers", "1", "--log-every", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "derain.pipeline", *command],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(data.parent / "run" / "curves.csv", "\n2,loss", process)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "derain: interrupted" and "Traceback" not in err and out == ""
    done = read(data.parent / "run" / "checkpoint.pt")["step"]
    assert 2 <= done < 60
    recipe = load_recipe(command[1])
    train(recipe, here(data, data.parent / "run", resume=True))
    train(recipe, here(data, data.parent / "whole"))
    assert same(kept(data.parent / "run"), kept(data.parent / "whole"))
    assert curves(data.parent / "run") == curves(data.parent / "whole")
