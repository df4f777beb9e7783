"""The exported networks side by side: figures on held-out pictures, and milliseconds a frame."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from derain.benchmarks.evaluation.cases import Case
from derain.benchmarks.evaluation.contest import Contestant, contestant
from derain.benchmarks.evaluation.figures import Result
from derain.benchmarks.evaluation.run import Measuring, Restored, SetResults, spread
from derain.benchmarks.evaluation.sets import CaseSet, Choice, check, find, titled
from derain.benchmarks.evaluation.shelf import thumbnail
from derain.benchmarks.evaluation.summary import models_of, summary
from derain.benchmarks.lineage.systems import BILATERAL, MEDIAN
from derain.benchmarks.peers.classic import RAIN
from derain.benchmarks.turns import seconds_in_turns
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.registry import open_engine
from derain.train.evaluate import RGB

SETS = ("streaks", "drops", "joint")
INPUT, REALTIME = "input", "realtime-s"
FRAME = (640, 360)
"""Width and height of the frame that is timed."""
ROUNDS = 7


@dataclass(frozen=True)
class Score:
    """Means of a set: PSNR on Y in dB and SSIM on Y."""

    psnr_y: float
    ssim_y: float


@dataclass
class Strips:
    """Thumbnails of a few cases of a set: rainy, what each contestant made, clean."""

    wanted: frozenset[str]
    rows: list[list[RGB]] = field(default_factory=list)

    def __call__(self, case: Case, restored: Restored) -> None:
        if case.name in self.wanted:
            moment = restored.moment
            self.rows.append([thumbnail(p) for p in (moment.rainy, *restored.pictures, moment.clean)])


def held_out(folder: Path, every: int, names: Sequence[str] = SETS) -> list[CaseSet]:
    """Sets of a benchmark set, each `every`-th pair. Raises UsageError where one is not there."""
    for name in names:
        if not (folder / name).is_dir():
            raise UsageError(f"{folder} has no set {name!r}; give a folder that derain benchmark-set made")
    sets = titled([find(folder / name, Choice(every=every)) for name in names])
    check(sets)
    return sets


@contextmanager
def side_by_side(models: Mapping[str, Path], threads: int) -> Iterator[list[Contestant]]:
    """Filters that nobody trained, the systems' model files by name, and the shipped network, all ready."""
    filters = [Contestant(one.name, "", "", one.restore) for one in RAIN if one.name in (MEDIAN, BILATERAL)]
    with ExitStack() as stack:
        networks = []
        for name, model in {**{name: str(path) for name, path in models.items()}, REALTIME: REALTIME}.items():
            engine = stack.enter_context(open_engine(model, EngineOptions(threads=threads)))
            networks.append(contestant(name, engine))
        yield [*filters, *networks]


def measured(
    one: CaseSet, contestants: Sequence[Contestant], pictures: int
) -> tuple[dict[str, Score], list[list[RGB]]]:
    """(scores by name, the input's too; strips of so many pictures, evenly spread) of a set."""
    chosen = spread(len(one.cases), pictures)
    strips = Strips(frozenset(case.name for index, case in enumerate(one.cases) if index in chosen))
    with ThreadPoolExecutor(4) as pool:
        measuring = Measuring(contestants, one.cases, 0, [strips], pool.map)
        results: list[Result] = [result for result, _ in measuring]
    row = summary(SetResults(one.name, one.title, "", results, measuring.harms), contestants)
    found = {INPUT: row["rainy"], **{model["model"]: model["restored"] for model in models_of(row)}}
    return {name: Score(s["psnr_y"], s["ssim_y"]) for name, s in found.items()}, strips.rows


def frame_times(contestants: Sequence[Contestant], case: Case) -> dict[str, float]:
    """Milliseconds a frame of FRAME at the median, measured in turns, each once unmeasured before."""
    frame = np.asarray(cv2.resize(next(iter(case.moments())).rainy, FRAME), np.uint8)
    times = seconds_in_turns(contestants, frame, ROUNDS)
    return {label: float(np.median(taken)) * 1e3 for label, taken in times.items()}
