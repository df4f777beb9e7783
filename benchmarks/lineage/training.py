"""One budget for each of several recipes: how fast it trains here, so many steps, and where it was."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from derain.benchmarks.lineage import child
from derain.benchmarks.lineage.systems import lasting
from derain.engines.errors import DerainError, UsageError
from derain.engines.machine import cpu_name
from derain.train.checkpoint import read
from derain.train.commit import commit
from derain.train.recipe import Recipe, to_toml
from derain.train.record.provenance import ENVIRONMENT

MEASURED = 10.0
"""Seconds of training, in a folder that is thrown away, that tell how many steps a second there will be."""
MARGIN = 0.95
"""Of the steps that would fit, as validation and checkpoints take some time too."""
RECORD = "budget.json"
RECIPE = "budget.toml"
REPORTS, CHECKPOINTS = 20, 10
"""Log lines and checkpoints in a budget."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Terms:
    """What is the same for all. `budget`: seconds of training. `workers`: processes that make patches.
    `steps`: so many of each in place of a budget, where it is not 0."""

    data: Path
    budget: float
    seed: int
    threads: int
    workers: int = 1
    steps: int = 0


@dataclass(frozen=True)
class Record:
    """What is kept of a training beside its run. `same`: what another call must have the same to go on.

    `planned` steps are those the schedule is made for; `steps` were done in `seconds`, at `rate` a second
    in the first measurement, 0 where the steps were given.
    """

    same: dict[str, Any]
    cpu: str
    commit: str
    rate: float
    planned: int
    steps: int = 0
    seconds: float = 0.0
    finished: bool = False


@dataclass(frozen=True)
class Trained:
    """What came of training: records and model files by name, and why others have none."""

    records: dict[str, Record]
    models: dict[str, Path]
    failed: dict[str, str]


def train_all(recipes: Mapping[str, Recipe], terms: Terms, folder: Path, tell: Tell) -> Trained:
    """All one after another, each in the folder of its name; one whose training fails stops none of the
    others."""
    done = Trained({}, {}, {})
    for name, recipe in recipes.items():
        try:
            record = trained(name, recipe, terms, folder / name, tell)
            done.models[name] = exported(folder / name, terms.threads)
            done.records[name] = record
        except (UsageError, child.KilledError):
            raise
        except DerainError as error:
            done.failed[name] = str(error)
            tell(f"{name}: {error}")
    return done


def trained(name: str, recipe: Recipe, terms: Terms, folder: Path, tell: Tell) -> Record:
    """Trains by a recipe for what is left of the budget in its run folder; a finished one is left as it is.

    Lines tell it by `name`. The recipe's schedule is made as long as the budget. Raises UsageError where the
    folder was begun with other terms, DerainError where training fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = begun(name, recipe, terms, folder, tell)
    if record.finished:
        tell(f"{name}: trained already, {record.steps} steps in {record.seconds:.0f} s")
        return record
    left = terms.budget - (spent(folder) if (folder / "checkpoint.pt").exists() else 0)
    if terms.steps or left > 0:
        limit = "" if terms.steps else f"for {left:.0f} s, "
        tell(f"{name}: training {limit}{record.planned} steps in all")
        child.call(words(record, terms, folder, left), terms.threads, folder / "log.txt", told(name, tell))
    record = replace(record, steps=steps_of(folder), seconds=spent(folder), finished=True)
    write(record, folder)
    return record


def begun(name: str, recipe: Recipe, terms: Terms, folder: Path, tell: Tell) -> Record:
    """The record in the folder; without one, of a schedule made to fit this machine."""
    by_time = {"budget": terms.budget, "threads": terms.threads}
    same = {
        **({"steps": terms.steps} if terms.steps else by_time),
        "seed": terms.seed,
        "recipe": hashlib.sha256(to_toml(recipe).encode()).hexdigest(),
    }
    if (folder / RECORD).is_file():
        record = read_record(folder)
        if changed := [key for key, value in same.items() if record.same.get(key) != value]:
            raise UsageError(
                f"{folder} was begun with another {' and '.join(changed)}; "
                "give another --output, or take it away"
            )
        return record
    rate, planned = 0.0, terms.steps
    if not planned:
        tell(f"{name}: how many steps a second?")
        start, rate = pace(recipe, terms, folder, quiet)
        planned = max(1, int(rate * (terms.budget - start) * MARGIN))
        tell(f"{name}: {rate:.2f} steps a second, so {planned} in {terms.budget:.0f} s")
    (folder / RECIPE).write_text(to_toml(lasting(recipe, planned)), encoding="utf-8")
    record = Record(same, cpu_name(), commit(), rate, planned)
    write(record, folder)
    return record


def words(record: Record, terms: Terms, folder: Path, left: float) -> list[str]:
    """The command line of `derain train` that goes on in a run folder."""
    limit = () if terms.steps else ("--time-limit", f"{left:.2f}")
    often = {"--log-every": REPORTS, "--checkpoint-every": CHECKPOINTS}
    return [
        *("train", str(folder / RECIPE), "--data", str(terms.data), "--output", str(folder), "--resume"),
        *(*limit, "--workers", str(terms.workers)),
        *(w for name, times in often.items() for w in (name, str(max(1, record.planned // times)))),
    ]


def quiet(line: str) -> None:
    """Leaves a line to the log."""


def told(name: str, tell: Tell) -> Tell:
    """Tells lines as those of that name."""
    return lambda line: tell(f"{name}: {line}")


def pace(recipe: Recipe, terms: Terms, folder: Path, tell: Tell) -> tuple[float, float]:
    """(seconds until steps begin, steps a second) of a few seconds' training."""
    with tempfile.TemporaryDirectory(prefix=".pace-", dir=folder) as name:
        passing = Path(name)
        (passing / RECIPE).write_text(to_toml(recipe), encoding="utf-8")
        limit = min(MEASURED, terms.budget)
        line = ["train", str(passing / RECIPE), "--data", str(terms.data), "--output", str(passing / "run")]
        line += ["--time-limit", f"{limit:.2f}", "--workers", str(terms.workers), "--log-every", "1"]
        child.call(line, terms.threads, folder / "log.txt", tell)
        return pace_of(step_ends(passing / "run"))


def pace_of(ends: Mapping[int, float]) -> tuple[float, float]:
    """Of the times in seconds at which steps ended, by step; the first quarter is warm-up."""
    times = list(ends.values())
    warm = times[len(times) // 4 :]
    rate = (len(warm) - 1) / (warm[-1] - warm[0]) if len(warm) > 1 else 1 / times[-1]
    return max(0.0, times[0] - 1 / rate), rate


def step_ends(run: Path) -> dict[int, float]:
    """Of a run that was begun once and logged each step: when its steps ended, in seconds since then."""
    (file,) = (run / "tensorboard").glob("events.*")
    begin, *points = EventFileLoader(str(file)).Load()
    return {point.step: point.wall_time - begin.wall_time for point in points}


def spent(run: Path) -> float:
    """Seconds of training behind a run's checkpoint, all its starts together."""
    starts = json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))
    return float(sum(start.get("seconds", 0.0) for start in starts))


def steps_of(run: Path) -> int:
    """The steps behind a run's checkpoint."""
    return int(read(run / "checkpoint.pt")["step"])


def exported(folder: Path, threads: int) -> Path:
    """The model file of a run, written where it is not there or older than the checkpoint."""
    checkpoint, model = folder / "checkpoint.pt", folder / "model.onnx"
    if not model.exists() or model.stat().st_mtime < checkpoint.stat().st_mtime:
        child.call(["export", str(checkpoint), str(model)], threads, folder / "log.txt", quiet)
    return model


def read_record(folder: Path) -> Record:
    """Raises UsageError where the file is none of ours."""
    path = folder / RECORD
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is no record of a training under a budget; take {folder} away") from error


def write(record: Record, folder: Path) -> None:
    """Whole or not at all. Raises DerainError."""
    temporary = folder / f".{RECORD}.tmp"
    try:
        temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
        temporary.replace(folder / RECORD)
    except OSError as error:
        raise DerainError(f"{folder / RECORD} can't be written: {error.strerror}") from error
