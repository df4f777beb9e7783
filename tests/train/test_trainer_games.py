"""A run that was broken off and goes on equals an unbroken one, bit by bit: weights, moments and curves."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import curves, here, kept, photographs, same, small, tiny

from derain.train import steps, trainer
from derain.train.checkpoint import State, read
from derain.train.interrupt import unheard
from derain.train.patches import Batch
from derain.train.recipe import Recipe
from derain.train.steps import Figures, Plan
from derain.train.trainer import train

pytestmark = pytest.mark.usefixtures("undrawn")

STEPS = 3


def shorter(recipe: Recipe, **changes: Any) -> Recipe:
    """`STEPS` steps, judged in the middle and at the end."""
    recipe = replace(recipe, train=replace(recipe.train, steps=STEPS, **changes))
    return replace(recipe, validation=replace(recipe.validation, every=2, patches=2))


CASES = {
    "alone": shorter(tiny()),
    "gathered from two batches": shorter(tiny(), accumulate=2),
    "half precision": shorter(tiny(), precision="bf16"),
    "dropout, batch normalisation, flipped labels": shorter(small("pix2pix-stabilised")),
    "an attentive discriminator": shorter(small("attentive-gan")),
    "masks of each kind": shorter(small("daiam")),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photographs(tmp_path / "data")


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_equals_an_unbroken_one(case: str, data: Path, tmp_path: Path) -> None:
    """Broken after every step, though losses are told, and checkpoints written, after every second."""
    recipe, every = CASES[case], {"log_every": 2, "checkpoint_every": 2}
    train(recipe, here(data, tmp_path / "whole", **every))
    for done in range(1, STEPS + 1):
        last = train(recipe, here(data, tmp_path / "broken", resume=True, time_limit=0.0, **every))
        assert read(last)["step"] == done
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "broken"))
    assert curves(tmp_path / "whole") == curves(tmp_path / "broken")
    whole, broken = read(tmp_path / "whole" / "checkpoint.pt"), read(last)
    for part in ("best", "origin", "since", "watch"):
        assert whole[part] == broken[part]


def signalled(number: signal.Signals, at: int, times: int) -> Any:
    """A step like the trainer's, in the middle of which somebody sends signals."""
    real = steps.step

    def step(state: State, plan: Plan, batches: Sequence[Batch]) -> list[Figures]:
        for _ in range(times if state.step == at else 0):
            signal.raise_signal(number)
        return real(state, plan, batches)

    return step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_after_its_step_and_goes_on(
    number: signal.Signals, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = CASES["dropout, batch normalisation, flipped labels"]
    train(recipe, here(data, tmp_path / "whole"))
    earlier = signal.signal(number, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(trainer, "step", signalled(number, at=1, times=1))
            train(recipe, here(data, tmp_path / "broken"))
        assert signal.getsignal(number) is signal.default_int_handler, "as it was before the run"
    finally:
        signal.signal(number, earlier)
    assert read(tmp_path / "broken" / "checkpoint.pt")["step"] == 2
    train(recipe, here(data, tmp_path / "broken", resume=True))
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "broken"))
    assert curves(tmp_path / "whole") == curves(tmp_path / "broken")


def test_asked_twice_a_run_ends_at_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is half done then, and no checkpoint tells of it."""
    monkeypatch.setattr(trainer, "step", signalled(signal.SIGINT, at=2, times=2))
    with pytest.raises(KeyboardInterrupt):
        train(CASES["alone"], here(data, tmp_path / "run", checkpoint_every=2))
    assert read(tmp_path / "run" / "checkpoint.pt")["step"] == 2


def test_processes_that_make_patches_do_not_hear_of_ctrl_c() -> None:
    """A terminal tells it to all of a group; the step that was begun needs their patches still."""
    ask = [sys.executable, "-S", "-c", "import signal; print(signal.getsignal(signal.SIGINT).name)"]
    with unheard():
        assert subprocess.check_output(ask, text=True) == "SIG_IGN\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_resume_without_a_checkpoint_begins(data: Path, tmp_path: Path) -> None:
    assert read(train(CASES["alone"], here(data, tmp_path / "run", resume=True)))["step"] == STEPS


def test_a_run_that_goes_on_does_not_begin_with_other_weights(data: Path, tmp_path: Path) -> None:
    """The same command with --resume goes on, whatever it began with."""
    recipe = CASES["alone"]
    begin = {"start_from": train(replace(recipe, seed=9), here(data, tmp_path / "other"))}
    train(recipe, here(data, tmp_path / "whole", **begin))
    train(recipe, here(data, tmp_path / "broken", time_limit=0.0, **begin))
    train(recipe, here(data, tmp_path / "broken", resume=True, **begin))
    assert same(kept(tmp_path / "whole"), kept(tmp_path / "broken"))
    assert read(tmp_path / "broken" / "checkpoint.pt")["origin"] == "tiny at 3 steps"
