"""Pictures restored from file to file: one, a folder of them, or those a pattern names."""

import glob
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.api import Derainer
from derain.pipeline.compare import MASK_LEVELS, Comparison, altered, compare, rain_layer
from derain.pipeline.images import (
    EXTENSIONS,
    JPEG,
    PNG,
    WEBP,
    Image,
    check_fits,
    check_quality,
    format_of,
    read_image,
    write_image,
)
from derain.pipeline.pictures.metadata import Metadata
from derain.pipeline.restore import TileChoice, check_strength
from derain.pipeline.sinks.publish import taken


@dataclass(frozen=True)
class ImageJob:
    """What is to be done.

    `input`: a file, a folder, or a pattern such as "photos/*.jpg". `output`: a file, or a folder, which it
    has to be for a folder or a pattern: pictures keep their names there. `compare`: write rainy and restored
    in one picture. `rain_layer`: a file or folder for pictures of what was taken away. `mask_out`: a PNG file
    or a folder for masks, white where a pixel was altered by more than `mask_levels` of 255, black elsewhere.
    `quality`: see write_image.
    """

    input: str
    output: Path
    model: str = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    tile: TileChoice = "auto"
    strength: float = 1.0
    compare: Comparison | None = None
    rain_layer: Path | None = None
    mask_out: Path | None = None
    mask_levels: int = MASK_LEVELS
    quality: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Task:
    """One picture: where it is and where it goes."""

    rainy: Path
    output: Path
    rain_layer: Path | None
    mask_out: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """What will be written."""
        further = (self.rain_layer, self.mask_out)
        return (self.output, *(path for path in further if path is not None))


@dataclass(frozen=True)
class Done:
    """One picture dealt with: number `number` of `count`; `error` is a sentence, "" where it was restored."""

    task: Task
    number: int
    count: int
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class ImageReport:
    """What a run did. `left_alone`: files of the input that are not pictures by their names."""

    done: tuple[Done, ...]
    left_alone: int
    seconds: float

    @property
    def failed(self) -> tuple[Done, ...]:
        """Those that could not be restored."""
        return tuple(done for done in self.done if done.error)


def restore_images(
    job: ImageJob,
    begin: Callable[[Derainer, int], None] | None = None,
    tell: Callable[[Done], None] | None = None,
) -> ImageReport:
    """Restores pictures; a folder or a pattern goes on past a bad one, which the report names.

    `begin` is told the derainer and the number of pictures, `tell` each picture dealt with. Raises UsageError
    before any work where the job can't be done, and DerainError where a single picture fails.
    """
    began = time.monotonic()
    check_strength(job.strength)
    tasks, left_alone, many = find_tasks(job)
    check_tasks(job, tasks, many)
    options = job.engine
    with Derainer(
        job.model,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        cache_dir=options.cache_dir,
        tile=job.tile,
        strength=job.strength,
        keep=options.keep,
    ) as derainer:
        if begin is not None:
            begin(derainer, len(tasks))
        done = []
        for number, task in enumerate(tasks, 1):
            done.append(_attempt(job, task, derainer, number, len(tasks), many))
            if tell is not None:
                tell(done[-1])
    return ImageReport(tuple(done), left_alone, time.monotonic() - began)


def _attempt(job: ImageJob, task: Task, derainer: Derainer, number: int, count: int, many: bool) -> Done:
    began = time.monotonic()
    try:
        width, height = _restore(job, task, derainer)
    except DerainError as error:
        if not many:
            raise
        return Done(task, number, count, error=str(error))
    return Done(task, number, count, width, height, time.monotonic() - began)


def _restore(job: ImageJob, task: Task, derainer: Derainer) -> tuple[int, int]:
    """Reads, restores and writes one picture; gives its width and height."""
    try:
        rainy = read_image(task.rainy)
        height, width = rainy.pixels.shape[:2]
        for path in task.files:
            check_fits(rainy, path)
        result = derainer.restore_image(rainy)
        if task.rain_layer is not None:
            layer = Image(rain_layer(rainy.pixels, result.pixels), None, rainy.metadata)
            _save(job, layer, task.rain_layer)
            del layer
        if task.mask_out is not None:
            _save(job, mask_of(rainy, result, job.mask_levels), task.mask_out)
        if job.compare is not None:
            result = compared(rainy, result, job.compare)
        del rainy  # large pictures: encoding needs its memory
        _save(job, result, task.output)
    except MemoryError as error:
        raise DerainError(f"{task.rainy} needs more memory than there is") from error
    return width, height


def _save(job: ImageJob, image: Image, path: Path) -> None:
    quality = job.quality if format_of(path) in (JPEG, WEBP) else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DerainError(f"the folder {path.parent} could not be made: {error.strerror}") from error
    write_image(image, path, quality, job.overwrite)


def compared(rainy: Image, restored: Image, comparison: Comparison) -> Image:
    """One picture of both, with the alpha of both."""
    alpha = restored.alpha
    if alpha is not None and comparison == "side":
        alpha = np.concatenate((alpha, alpha), axis=1)
    return Image(compare(rainy.pixels, restored.pixels, comparison), alpha, restored.metadata)


def mask_of(rainy: Image, restored: Image, levels: int) -> Image:
    """Where the picture was altered, in grey, turned as the picture is; its profile is for its colours."""
    shown = Metadata(exif=rainy.metadata.exif, dpi=rainy.metadata.dpi)
    return Image(altered(rainy.pixels, restored.pixels, levels), None, shown)


def find_tasks(job: ImageJob) -> tuple[list[Task], int, bool]:
    """The pictures, the number of other files, and whether the job is for a folder or a pattern."""
    path = Path(job.input)
    if path.is_dir():
        return *_tasks_in(job, path, sorted(path.rglob("*"))), True
    if not path.exists() and glob.has_magic(job.input):
        found = sorted(Path(name) for name in glob.glob(job.input, recursive=True))  # noqa: PTH207
        return *_tasks_in(job, fixed_part(path), found), True
    output = job.output / path.name if job.output.is_dir() else job.output
    layer, mask = job.rain_layer, job.mask_out
    if layer is not None and layer.is_dir():
        layer /= path.name
    if mask is not None and mask.is_dir():
        mask /= f"{path.stem}.png"
    return [Task(path, output, layer, mask)], 0, False


def fixed_part(pattern: Path) -> Path:
    """The folder below which all that a pattern names lies."""
    parts = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _tasks_in(job: ImageJob, folder: Path, found: list[Path]) -> tuple[list[Task], int]:
    """Tasks for the pictures among `found`, with their places below `folder` kept; the number of others."""
    files = [path for path in found if path.is_file() and not _written_by(job, path)]
    pictures = [path for path in files if path.suffix.lower() in EXTENSIONS and path.name[0] != "."]
    tasks = []
    for path in pictures:
        place = path.relative_to(folder)
        layer = None if job.rain_layer is None else job.rain_layer / place
        mask = None if job.mask_out is None else job.mask_out / place.with_suffix(".png")
        tasks.append(Task(path, job.output / place, layer, mask))
    return tasks, len(files) - len(pictures)


def _written_by(job: ImageJob, path: Path) -> bool:
    """True for files in the folders of the job's results, which may lie inside the folder of the input."""
    written = (job.output, job.rain_layer, job.mask_out)
    folders = [folder.resolve() for folder in written if folder is not None]
    return any(folder in path.resolve().parents and folder != Path(job.input).resolve() for folder in folders)


def check_tasks(job: ImageJob, tasks: list[Task], many: bool) -> None:
    """Raises UsageError for what can't be done, before anything is."""
    if not tasks:
        raise UsageError(f"there are no pictures in {job.input} ({', '.join(EXTENSIONS)})")
    if not many:
        _check_single(job, tasks[0])
    for folder in (job.output, job.rain_layer, job.mask_out) if many else ():
        if folder is not None and folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; {job.input} is several pictures, which need a folder")
    _check_overlap(tasks)
    existing = [path for task in tasks for path in task.files if taken(path)]
    if existing and not job.overwrite:
        others = f" (as do {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]} exists{others}; --overwrite replaces it")


def _check_single(job: ImageJob, task: Task) -> None:
    if not task.rainy.exists():
        raise UsageError(f"there is no file {task.rainy}")
    for path in task.files:
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} to write {path.name} into")
        format_of(path)
    if task.mask_out is not None and format_of(task.mask_out) is not PNG:
        raise UsageError(f"the mask {task.mask_out} is not a PNG by its name; give one that ends in .png")
    check_quality(task.output, job.quality)


def _check_overlap(tasks: list[Task]) -> None:
    """Raises UsageError where one file would be both read and written, or written twice."""
    rainy = {_identity(task.rainy) for task in tasks}
    written = set()
    for path in _files(tasks):
        identity = _identity(path)
        if identity in rainy:
            raise UsageError(f"{path} is the picture to be restored itself; write to another name")
        if identity in written:
            raise UsageError(f"{path} would be written twice; write to another name or folder")
        written.add(identity)


def _identity(path: Path) -> tuple[int, int] | Path:
    """The same for two names of one file, there already or not."""
    if path.exists():
        status = path.stat()
        return status.st_dev, status.st_ino
    return path.resolve()


def _files(tasks: list[Task]) -> Iterator[Path]:
    for task in tasks:
        yield from task.files
