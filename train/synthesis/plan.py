"""What `derain synthesize` is asked for, and what that makes of it: a checked task for each file."""

import hashlib
import logging
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from derain.engines.errors import DerainError, UsageError
from derain.train.datasets import ENDINGS, pictures
from derain.train.degradations import masks
from derain.train.degradations.compose import Made, Shot
from derain.train.degradations.presets import PRESETS, preset
from derain.train.degradations.rain import Map
from derain.train.degradations.sidecar import Drawn, Fingerprint, Mask, Part, SideCar, read_sidecar
from derain.train.whole_folder import check_new, sha256_of

log = logging.getLogger(__name__)

SMALLEST = 16
"""Pixels a side of the smallest picture that rain is made on."""
MOST_NAMED = 10
"""Files that one sentence names."""
ROUNDING = 1e-3
"""Grey levels by which the mean of the same rain may differ between machines; measured were 7e-6."""

MASKS: tuple[tuple[Mask, Callable[[Made], Map]], ...] = (
    (
        Mask("qian", "1 where the rain changes a colour by more than 30 of 255, else 0 (Qian 2018)"),
        lambda made: made.rainy.mask,
    ),
    (
        Mask("attention", "the rain's largest change of a colour divided by a tenth of the range, 1 at most"),
        lambda made: made.rainy.attention,
    ),
    (
        Mask("daiam", "the largest difference of a colour, divided by that of the picture (DAiAM 2021)"),
        lambda made: masks.daiam(made.rainy.image, made.clean),
    ),
    (
        Mask("spanet", "1 where a colour differs by half a level of 255 or more, else 0 (SPANet 2019)"),
        lambda made: masks.spanet(made.rainy.image, made.clean),
    ),
)
"""The masks that can be written."""


@dataclass(frozen=True)
class SynthesisJob:
    """What is to be done.

    `input`: a photo, a folder of photos, or a video; `folder` is made. `rain`, `seed`, `mask` and `count` (of
    different rains for each input) say what falls, or else `sidecar`: a side-car file, or a folder of them
    for a folder. The rest is for videos: `start` and `duration` in seconds, the encoding's `crf`, and what
    FileSource and FileSink take.
    """

    input: Path
    folder: Path
    rain: str | None = None
    seed: int = 1
    mask: str = "qian"
    count: int = 1
    sidecar: Path | None = None
    start: Fraction | None = None
    duration: Fraction | None = None
    crf: float | None = None
    as_progressive: bool = False
    drop_unsupported: bool = False


@dataclass(frozen=True)
class Task:
    """One picture or video: its clean file, the name of its twins, what falls; `again`: as it fell before."""

    path: Path
    name: str
    rain: Drawn
    mask: Mask
    part: Part
    again: SideCar | None = None

    @property
    def is_photo(self) -> bool:
        """By the name of the file; all else is opened as a video."""
        return is_photo(self.path)

    def shot(self, height: int, width: int) -> Shot:
        """The rain for a picture of that size as it is shown."""
        if self.again is not None:
            return self.again.shot
        rng = generator(self.rain.seed, self.path.name, self.rain.variant)
        return preset(self.rain.preset).sample(rng, height, width)

    def marks(self, made: Made) -> Map:
        """The mask that is written."""
        return next(marked(made) for mask, marked in MASKS if mask.name == self.mask.name)


def generator(seed: int, name: str, variant: int) -> np.random.Generator:
    """The randomness of one file, the same whatever other files there are."""
    digest = hashlib.sha256(os.fsencode(unicodedata.normalize("NFC", name))).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big"), variant])


def is_photo(path: Path) -> bool:
    """Whether a file is a picture by its name."""
    return path.suffix.lower() in ENDINGS


def plan(job: SynthesisJob) -> list[Task]:
    """The job's tasks. Raises UsageError where it can't be done; nothing is written before."""
    check_places(job)
    tasks = tasks_again(job) if job.sidecar is not None else tasks_anew(job)
    check_names(tasks)
    return tasks


def check_places(job: SynthesisJob) -> None:
    """Raises UsageError where input and result would be in each other's way, or are not there."""
    if not job.input.exists():
        raise UsageError(f"there is no file or folder {job.input}; check the name of the input")
    inside, folder = job.input.resolve(), job.folder.resolve()
    if inside == folder:
        raise UsageError(f"{job.folder} is the input itself; name another folder for the rain")
    if folder in inside.parents:
        raise UsageError(f"the input {job.input} lies inside {job.folder}, which is to be made anew")
    check_new(job.folder)


def tasks_anew(job: SynthesisJob) -> list[Task]:
    """Tasks that draw their rain."""
    if job.rain is None:
        names = ", ".join(one.name for one in PRESETS)
        raise UsageError(f"name the rain with --rain ({names}), or a side-car with --from-sidecar")
    name, mask = preset(job.rain).name, mask_named(job.mask)
    paths = pictures(job.input) if job.input.is_dir() else (job.input,)
    if (job.start, job.duration, job.crf) != (None, None, None) and is_photo(paths[0]):
        raise UsageError(f"--start, --duration and --crf are for videos, but {paths[0]} is a photo")
    part = Part(written(job.start), written(job.duration), 0, job.crf)
    return [
        Task(path, twin_name(path, variant, job.count), Drawn(name, job.seed, variant), mask, part)
        for path in paths
        for variant in range(job.count)
    ]


def written(seconds: Fraction | None) -> str | None:
    """Seconds as a side-car has them."""
    return None if seconds is None else str(seconds)


def seconds(text: str | None) -> Fraction | None:
    """Seconds of a side-car; UsageError where it is no fraction."""
    try:
        return None if text is None else Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"the side-car's start and duration are fractions of seconds, not {text!r}"
        ) from error


def twin_name(path: Path, variant: int, count: int) -> str:
    """The name of the twins without ending; numbered where there are several of one file."""
    return path.stem if count == 1 else f"{path.stem}-{variant + 1}"


def mask_named(name: str) -> Mask:
    """The mask of that name; UsageError lists those there are."""
    for mask, _ in MASKS:
        if mask.name == name:
            return mask
    raise UsageError(f"no mask {name!r}; there is {', '.join(mask.name for mask, _ in MASKS)}")


def tasks_again(job: SynthesisJob) -> list[Task]:
    """Tasks of side-cars: the same files, found by name and held against their sha256."""
    assert job.sidecar is not None
    files = [job.sidecar]
    if job.sidecar.is_dir():
        files = sorted(job.sidecar.glob("*.json"))
        if not files:
            raise UsageError(f"{job.sidecar} has no side-cars (.json)")
    if len(files) > 1 and not job.input.is_dir():
        raise UsageError(f"{job.sidecar} has {len(files)} side-cars, but {job.input} is one file; name one")
    tasks = [task_again(file, job) for file in files]
    refuse(task.path for task in tasks if not same_source(task))
    return tasks


def refuse(strangers: Iterable[Path]) -> None:
    """Raises UsageError that names the files that are not those of their side-cars."""
    found = list(strangers)
    if found:
        raise UsageError(
            f"{in_words(found)} {'are' if len(found) > 1 else 'is'} not there, or not the file that the "
            "side-car was made of (its sha256 differs); the same pixels can't come of another"
        )


def task_again(file: Path, job: SynthesisJob) -> Task:
    car = read_sidecar(file)
    path = job.input / Path(car.source.name).name if job.input.is_dir() else job.input
    mask = mask_named(car.mask.name)
    return Task(path, file.stem, car.rain, mask, car.video or Part(None, None, 0, None), car)


def same_source(task: Task) -> bool:
    """Whether the file is the one its side-car was made of."""
    return task.again is not None and task.path.is_file() and sha256_of(task.path) == task.again.source.sha256


def check_names(tasks: list[Task]) -> None:
    """Raises UsageError where two results would have one name, on a disk that ignores case too."""
    taken: dict[str, list[Path]] = defaultdict(list)
    for task in tasks:
        taken[task.name.casefold()].append(task.path)
    clashes = [path for paths in taken.values() if len(paths) > 1 for path in paths]
    if clashes:
        raise UsageError(f"{in_words(clashes)} would give twins of the same name; rename some of them")


def in_words(paths: list[Path]) -> str:
    """Paths in a sentence; the first MOST_NAMED of many."""
    named = ", ".join(str(path) for path in paths[:MOST_NAMED])
    more = len(paths) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def check_same(task: Task, pixels: Fingerprint) -> None:
    """Warns where pixels made again differ from the side-car's by a processor's rounding, as the mean tells.

    Raises DerainError where they differ by more.
    """
    if task.again is None or pixels == task.again.pixels:
        return
    if abs(pixels.mean - task.again.pixels.mean) > ROUNDING:
        raise DerainError(
            f"{task.path.name} came out other than its side-car says, which derain {task.again.derain} "
            "wrote; this version makes other rain of its numbers"
        )
    log.warning(
        "%s came out as its side-car says but for single grey levels, as another machine rounds otherwise",
        task.path.name,
    )
