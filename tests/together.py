"""What each of several processes runs under torch's launcher: command lines, one after another.

    together.py FOLDER RECIPE DATA PORT...

Writes what command N said in process R to FOLDER/N-R.txt, its exit code first. The processes of each command
meet at a port of its own: what those of an earlier one left at the launcher's would confuse them.
"""

import contextlib
import io
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from derain.pipeline.cli import run
from derain.train import run_folder, steps, trainer
from derain.train.checkpoint import State
from derain.train.patches import Batch
from derain.train.steps import Figures, Plan

SECOND = os.environ["RANK"] == "1"
total, step = steps.total, steps.step


def broken(terms: dict[str, Tensor]) -> Tensor:
    """A loss that is no number in the second process alone."""
    for name in terms if SECOND else ():
        terms[name] = terms[name] * math.nan
    return total(terms)


def interrupted(state: State, plan: Plan, batches: Sequence[Batch]) -> list[Figures]:
    """A step in which the second process alone gets a Ctrl-C."""
    if SECOND:
        signal.raise_signal(signal.SIGINT)
    return step(state, plan, batches)


def main(folder: Path, recipe: str, data: str, *ports: str) -> None:
    torch.set_num_threads(1)
    run_folder.chart = lambda rows, title: b""  # type: ignore[attr-defined]  # takes longer than the runs
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"

    def said(number: int, *arguments: str) -> None:
        told = io.StringIO()
        os.environ["MASTER_PORT"] = ports[number]
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            try:
                code = run(
                    ["train", recipe, "--data", data, "--workers", "0", "--log-every", "1", *arguments]
                )
            except SystemExit as end:
                code = int(str(end.code))
        files = [folder / f"{number}-{rank}.txt" for rank in (0, 1)]
        files[SECOND].write_text(f"{code}\n{told.getvalue()}", encoding="utf-8")
        while not all(file.exists() for file in files):  # or one would be a command ahead of the other
            time.sleep(0.01)

    run_one = str(folder / "run")
    said(0, "--output", run_one, "--time-limit", "0s")
    said(1, "--output", run_one)
    said(2, "--output", run_one, "--resume")
    steps.total = broken
    said(3, "--output", str(folder / "broken"))
    steps.total = total
    trainer.step = interrupted  # type: ignore[attr-defined]
    said(4, "--output", str(folder / "interrupted"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
