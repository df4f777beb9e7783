"""Two processes under torch's launcher train as one does with batches twice as large; they speak as one."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import here, photographs, tiny

from derain.engines.errors import DerainError
from derain.train.checkpoint import read
from derain.train.parallel import heard
from derain.train.recipe import LossRecipe, Recipe, to_toml
from derain.train.run_folder import read_curves
from derain.train.trainer import train

SCRIPT = Path(__file__).parents[1] / "together.py"
LAUNCHER = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port")


def recipe(batch: int) -> Recipe:
    """With a loss that is a mean over pictures, without SPANet's map, which is of pixels and not of cells;
    and steps that are their gradients' multiples."""
    plain = replace(tiny().train, optimiser="sgd", rate=0.1, schedule="constant", warmup=0, weight_decay=0.0)
    loss = LossRecipe("spanet", {"attention": 0})
    return replace(tiny(), loss=loss, train=replace(plain, steps=3, batch=batch))


def free_ports(count: int) -> list[str]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes ran the commands of tests/together.py."""
    folder = tmp_path_factory.mktemp("together")
    photographs(folder / "data")
    (folder / "recipe.toml").write_text(to_toml(recipe(batch=2)), encoding="utf-8")
    port, *ports = free_ports(6)
    given: list[str | Path] = [folder, folder / "recipe.toml", folder / "data", *ports]
    done = subprocess.run(
        [sys.executable, *LAUNCHER, port, SCRIPT, *given],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def said(folder: Path, number: int) -> tuple[list[str], list[str]]:
    """The exit code and the lines of a command in the first and in the second process."""
    first, second = (
        (folder / f"{number}-{rank}.txt").read_text(encoding="utf-8").splitlines() for rank in (0, 1)
    )
    return first, second


def test_two_processes_equal_one_with_batches_twice_as_large(folder: Path, tmp_path: Path) -> None:
    """Broken off after the first step, at that: they go on together."""
    whole = read(train(recipe(batch=4), here(folder / "data", tmp_path / "run")))
    both = read(folder / "run" / "checkpoint.pt")
    assert both["step"] == whole["step"] == 3
    for part in ("network", "average"):
        for name, value in whole[part].items():
            torch.testing.assert_close(both[part][name], value, rtol=1e-4, atol=1e-6)


def test_a_time_limit_stops_both(folder: Path) -> None:
    first, second = said(folder, 0)
    assert first[0] == second[0] == "0"
    assert "the time limit ends the run at step 1 of 3" in "\n".join(first)
    assert first[-1] == str(folder / "run" / "checkpoint.pt"), (
        "the first process says where the checkpoint is"
    )
    assert second == ["0"], "the second one says nothing"


def test_a_folder_that_holds_a_run_is_refused_once(folder: Path) -> None:
    first, second = said(folder, 1)
    assert first == [
        "2",
        f"derain: {folder / 'run'} holds a run already; go on with --resume, or give another --output",
    ]
    assert second == ["2"]


def test_both_go_on_from_the_checkpoint(folder: Path) -> None:
    first, second = said(folder, 2)
    assert first[0] == second[0] == "0" and len(second) == 1
    losses = [(step, name) for step, name, _ in read_curves(folder / "run") if name == "loss"]
    assert losses == [(1, "loss"), (2, "loss"), (3, "loss")], "one process writes them"


def test_a_loss_that_is_no_number_in_one_stops_both_with_one_sentence(folder: Path) -> None:
    first, second = said(folder, 3)
    assert first[0] == second[0] == "1" and second == ["1"]
    assert first[-1].startswith("derain: the loss is not a finite number at step 1, samples 0 to 3 of seed 1")
    assert not (folder / "broken" / "checkpoint.pt").exists()


def test_an_interruption_of_one_ends_both_after_their_step(folder: Path) -> None:
    first, second = said(folder, 4)
    assert first[0] == second[0] == "130" and second == ["130"]
    assert first[-1] == "derain: interrupted"
    assert read(folder / "interrupted" / "checkpoint.pt")["step"] == 1


def test_a_process_that_is_left_alone_says_so() -> None:
    def closed() -> None:
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1")

    with pytest.raises(DerainError, match="another process of this run has ended before its time"):
        heard(closed)
