"""Rain made to order on photos and videos: rainy, clean and mask, and side-cars that bring them again."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from derain.engines.errors import DerainError
from derain.pipeline.job import expected_frames
from derain.pipeline.progress import End, QuietTeller, Teller, counted
from derain.pipeline.runner import Interrupted, Report
from derain.pipeline.sources.file import FileSource
from derain.train.datasets import read_rgb
from derain.train.degradations.compose import make
from derain.train.degradations.sidecar import SideCar, Source, write_sidecar
from derain.train.synthesis.meter import Meter
from derain.train.synthesis.photos import Photo, check_photos
from derain.train.synthesis.plan import SMALLEST, SynthesisJob, Task, check_same, plan, seconds
from derain.train.synthesis.twins import Tally, make_folders, to_picture, twins_of, write_twins
from derain.train.synthesis.video import open_video, rain_on_video
from derain.train.whole_folder import whole_folder

__all__ = ["SynthesisJob", "synthesize"]

PARAMS = "params"
"""The folder of the side-cars."""


def synthesize(job: SynthesisJob, teller: Teller | None = None) -> Report:
    """Makes `job.folder` with rainy, clean and mask of every input, and its side-car in params.

    Raises UsageError before any work where the job can't be done, DerainError where it fails, Interrupted on
    Ctrl-C; the folder is not there then.
    """
    with ExitStack() as stack:
        teller = stack.enter_context(QuietTeller() if teller is None else teller)
        tasks = plan(job)
        photos = check_photos([task.path for task in tasks if task.is_photo], SMALLEST)
        videos = {
            task.name: stack.enter_context(open_video(task, job)) for task in tasks if not task.is_photo
        }
        meter = Meter(expected(tasks, videos), teller)
        try:
            with whole_folder(job.folder) as folder:
                fill(folder, tasks, photos, videos, meter, job.drop_unsupported)
        except KeyboardInterrupt:
            raise Interrupted((), meter.report()) from None
        report = meter.report()
        teller.end(End("done", 0, in_a_line(tasks, report, job), (job.folder,), report))
    return report


def expected(tasks: list[Task], videos: Mapping[str, FileSource]) -> int | None:
    """About how many pictures there will be; None where a video does not say."""
    total = 0
    for task in tasks:
        frames = 1
        if not task.is_photo:
            part = task.part
            found = expected_frames(videos[task.name], seconds(part.start), seconds(part.duration))
            if found is None:
                return None
            frames = found
        total += frames
    return total


def fill(
    folder: Path,
    tasks: list[Task],
    photos: Mapping[Path, Photo],
    videos: Mapping[str, FileSource],
    meter: Meter,
    drop_unsupported: bool,
) -> None:
    """Writes the twins and the side-car of every task."""
    make_folders(folder)
    (folder / PARAMS).mkdir()
    for task in tasks:
        try:
            if task.is_photo:
                car = rain_on_photo(task, photos[task.path], folder, meter)
            else:
                car = rain_on_video(task, videos[task.name], folder, meter, drop_unsupported)
        except MemoryError as error:
            raise DerainError(f"{task.path} needs more memory than there is") from error
        check_same(task, car.pixels)
        write_sidecar(car, folder / PARAMS / f"{task.name}.json")


def rain_on_photo(task: Task, photo: Photo, folder: Path, meter: Meter) -> SideCar:
    """Writes the twins of one photo as 8-bit PNGs."""
    with meter.stage("decode"):
        clean = to_picture(read_rgb(task.path))
    with meter.stage("rain"):
        shot = task.shot(*clean.shape[:2])
        made = make(clean, shot)
        twins = twins_of(made, task.marks(made))
    with meter.stage("encode"):
        write_twins(folder, task.name, twins)
    meter.made()
    tally = Tally()
    tally.add(twins)
    source = Source(task.path.name, photo.sha256, photo.width, photo.height)
    return SideCar(rain=task.rain, source=source, mask=task.mask, shot=shot, pixels=tally.total())


def in_a_line(tasks: list[Task], report: Report, job: SynthesisJob) -> str:
    """What was done, and how much of a folder was none of its business."""
    count = sum(task.is_photo for task in tasks)
    photos = f"{count} {'photo' if count == 1 else 'photos'}"
    what = photos if count == len(tasks) else counted(report.frames)
    others = len(set(job.input.iterdir()) - {task.path for task in tasks}) if job.input.is_dir() else 0
    alone = f"; {others} other {'file' if others == 1 else 'files'} left alone" if others else ""
    return f"rain on {what} in {report.seconds:.1f} s, written to {job.folder}{alone}"
