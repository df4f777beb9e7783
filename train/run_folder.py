"""What a run leaves beside its checkpoints: recipe, environment, hashes of its data, curves and a card."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from derain.train.checkpoint import State
from derain.train.recipe import to_toml
from derain.train.record.board import Board
from derain.train.record.card import card
from derain.train.record.chart import chart
from derain.train.record.curves import CURVES, Row, append_curves, curve, read_curves, summed_up, write_curves
from derain.train.record.files import write_whole
from derain.train.record.provenance import (
    ENVIRONMENT,
    earlier_starts,
    environment,
    hashes,
    keep_hashes,
    sha256_of,
    write_json,
)
from derain.train.steps import Figures, Plan

__all__ = ["CURVES", "RunFolder", "read_curves", "sha256_of"]


class RunFolder:
    """The files of one run; `step`: that it goes on from, whose later curves are dropped."""

    def __init__(self, path: Path, plan: Plan, step: int) -> None:
        self.path, self.plan, self.step = path, plan, step
        self.rows = [row for row in read_curves(path) if row[0] <= step]
        write_curves(path, self.rows)
        self.board = Board(path / "tensorboard", step)
        self.starts = [*earlier_starts(path, step), environment(plan, step)]
        self.begun = time.monotonic()

    def describe(self, data: Path, files: Iterable[Path]) -> None:
        """The recipe, the environment and the hashes of the files it trains on."""
        write_whole(self.path / "recipe.toml", to_toml(self.plan.recipe))
        keep_hashes(self.path, hashes(files, data), goes_on=self.step > 0)
        write_json(self.path / ENVIRONMENT, self.starts)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values of a step, by the names of their curves."""
        self.rows += append_curves(self.path, step, values)
        self.board.add(step, values)

    def last(self, name: str) -> float | None:
        """The newest value of a curve, None where it has none."""
        points = curve(self.rows, name)
        return points[-1][1] if points else None

    def tell(self, state: State) -> None:
        """The curves as a picture and the card, of a described run on its way or at its end. The steps that
        are not reported yet are drawn too."""
        recipe = self.plan.recipe
        self.starts[-1]["seconds"] = round(time.monotonic() - self.begun, 3)
        write_json(self.path / ENVIRONMENT, self.starts)
        rows = [*self.rows, *pending(state, self.plan)]
        title = f"{recipe.name}: {state.step:,} of {recipe.train.steps:,} steps"
        write_whole(self.path / "curves.png", chart(rows, title))
        write_whole(self.path / "card.md", card(self.path, state, self.plan, rows, self.starts))


def pending(state: State, plan: Plan) -> list[Row]:
    """The rows of the steps since the last report."""
    if not state.since:
        return []
    found = summed_up([Figures(**one) for one in state.since], plan.recipe, state.step)
    return [(state.step, name, value) for name, value in found.items()]
