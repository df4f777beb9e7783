"""What candidates make of the sets: dB they gain, and how much of a dry picture they leave as it is."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from derain.benchmarks.evaluate import sets_of
from derain.benchmarks.evaluation.cases import Case
from derain.benchmarks.evaluation.contest import Contestant, contestant
from derain.benchmarks.evaluation.run import Measuring, Restored, SetResults
from derain.benchmarks.evaluation.sets import CaseSet, Choice, check, titled
from derain.benchmarks.evaluation.summary import models_of, summary
from derain.benchmarks.lineage.scores import held_out
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.registry import open_engine
from derain.train.evaluate import RGB

SETS = ("drops", "streaks", "joint", "clean")
"""Of those that derain benchmark-set makes."""
TILE = 32
"""Pixels a side of the tiles that are looked at."""


@dataclass(frozen=True)
class Score:
    """Of a set. `gain`: PSNR on Y in dB above the input's, None where all of it is dry; `exact`: the share of
    tiles of its dry pictures that came back bit for bit, None where none is dry."""

    gain: float | None
    exact: float | None


@dataclass
class ExactTiles:
    """Counts, as moments pass, the tiles of dry ones, and by contestant those that came back bit for bit."""

    tiles: int = 0
    exact: dict[int, int] = field(default_factory=dict)

    def __call__(self, case: Case, restored: Restored) -> None:
        if not restored.moment.dry:
            return
        for index, picture in enumerate(restored.pictures):
            kept = ~altered(restored.moment.rainy, picture)
            self.exact[index] = self.exact.get(index, 0) + int(kept.sum())
        self.tiles += kept.size

    def share(self, index: int) -> float | None:
        return self.exact[index] / self.tiles if self.tiles else None


def altered(one: RGB, other: RGB) -> npt.NDArray[np.bool_]:
    """For each tile, those cut off by the right and lower border too, whether any pixel of it differs."""
    differs = (one != other).any(axis=2)
    height, width = differs.shape
    whole = np.pad(differs, ((0, -height % TILE), (0, -width % TILE)))
    rows, columns = (side // TILE for side in whole.shape)
    return np.asarray(whole.reshape(rows, TILE, columns, TILE).any(axis=(1, 3)))


def sets_to_measure(held: Path | None, folders: Sequence[Path], every: int) -> list[CaseSet]:
    """SETS of a benchmark set and the folders of pairs, each `every`-th pair. Raises UsageError."""
    found = [] if held is None else held_out(held, every, SETS)
    if folders:
        pairs = sets_of(folders, (), Choice(every=every))
        check(pairs)
        found = titled([*found, *pairs])
    if not found:
        raise UsageError(
            "there is nothing to measure on; give --held-out FOLDER, which derain benchmark-set made, or "
            "--set PAIRS"
        )
    return found


def scores(models: Mapping[str, Path], sets: Sequence[CaseSet], threads: int) -> dict[str, dict[str, Score]]:
    """By model and by title of the set, of the model files in fp32."""
    if not models:
        return {}
    options = EngineOptions(precision="fp32", threads=threads)
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        contestants = [
            contestant(name, stack.enter_context(open_engine(str(path), options)))
            for name, path in models.items()
        ]
        by_set = {one.title: measured(one, contestants, pool) for one in sets}
    return {
        name: {title: found[index] for title, found in by_set.items()} for index, name in enumerate(models)
    }


def measured(one: CaseSet, contestants: Sequence[Contestant], pool: ThreadPoolExecutor) -> list[Score]:
    """Of each contestant on a set, one after the other with each picture."""
    tiles = ExactTiles()
    measuring = Measuring(contestants, one.cases, 0, [tiles], pool.map)
    results = [result for result, _ in measuring]
    row = summary(SetResults(one.name, one.title, "", results, measuring.harms), contestants)
    wet = row["dry"] < row["pairs"]
    return [
        Score(model["gain_y"] if wet else None, tiles.share(index))
        for index, model in enumerate(models_of(row))
    ]
