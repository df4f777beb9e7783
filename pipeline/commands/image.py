"""`derain image INPUT OUTPUT`."""

import time
from types import TracebackType
from typing import Any, Self

import click

from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError
from derain.pipeline.api import Derainer
from derain.pipeline.commands.options import (
    compare_option,
    kept,
    mask_options,
    name_option,
    network_options,
    path_option,
    restoring_options,
    telling_options,
    whole_option,
)
from derain.pipeline.image_job import Done, ImageJob, ImageReport, restore_images
from derain.pipeline.json_lines import JsonLines
from derain.pipeline.log import logging_to_stderr
from derain.pipeline.progress import in_words, say


class Teller:
    """Lines for people on stderr: what runs, each picture unless `quiet`, what was done."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def begin(self, derainer: Derainer, count: int) -> None:
        """The first line."""
        card = derainer.card
        pictures = "1 picture" if count == 1 else f"{count} pictures"
        precision = in_words(derainer.precision, derainer.precision_reason)
        model = in_words(f"{card.name} {card.version}", derainer.model_reason)
        backend = in_words(derainer.backend, derainer.backend_reason)
        say(f"model {model}, {backend} {precision}, {pictures}")

    def tell(self, done: Done) -> None:
        """A line for a picture; for a bad one always."""
        if done.error:
            say(done.error)
        elif not self._quiet:
            say(
                f"{done.number} of {done.count}: {done.task.output}, {done.width}x{done.height}, "
                f"{done.seconds:.1f} s"
            )

    def end(self, message: str, exit_code: int, report: ImageReport | None) -> None:
        """The last line; an error is said by whoever catches it."""
        if exit_code == 0:
            say(message)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tells the end that an error makes."""
        if isinstance(error, DerainError):
            self.end(str(error), error.exit_code, None)
        elif isinstance(error, KeyboardInterrupt):
            self.end("interrupted", 130, None)


class JsonTeller(Teller):
    """JSON for programs, one object a line on stdout: start, image for each picture, end."""

    def __init__(self, quiet: bool) -> None:
        super().__init__(quiet)
        self._lines = JsonLines()

    def begin(self, derainer: Derainer, count: int) -> None:
        """The start event."""
        card = derainer.card
        engine = {
            "backend": derainer.backend,
            "precision": derainer.precision,
            "precision_reason": derainer.precision_reason,
            "backend_reason": derainer.backend_reason,
            "model_reason": derainer.model_reason,
        }
        self._lines.write(
            "start", {"model": card.name, "model_version": card.version, **engine, "images": count}
        )

    def tell(self, done: Done) -> None:
        """An image event; `error` is null where it was restored, `files` are those written."""
        files = [] if done.error else [str(path) for path in done.task.files]
        fields = {name: getattr(done, name) for name in ("number", "count", "width", "height", "seconds")}
        self._lines.write(
            "image", {"input": str(done.task.rainy), "files": files, **fields, "error": done.error or None}
        )

    def end(self, message: str, exit_code: int, report: ImageReport | None) -> None:
        """The end event; `restored` and `failed` are null where an error ended the run."""
        counts: dict[str, Any] = {"restored": None, "failed": None}
        if report is not None:
            counts = {"restored": len(report.done) - len(report.failed), "failed": len(report.failed)}
        status = {0: "done", 130: "interrupted"}.get(exit_code, "failed")
        seconds = time.monotonic() - self._began
        fields = {"status": status, "exit_code": exit_code, "message": message, **counts, "seconds": seconds}
        self._lines.write("end", fields)


@click.command("image")
@click.argument("input", callback=name_option)
@click.argument("output", callback=path_option)
@network_options
@restoring_options
@click.option(
    "--quality",
    callback=whole_option(1, 100),
    metavar="1..100",
    help="Of JPEG (default 95) and WebP (default lossless).",
)
@compare_option
@click.option(
    "--rain-layer",
    callback=path_option,
    metavar="FILE|FOLDER",
    help="Also write what was taken away, around mid grey.",
)
@mask_options("FILE|FOLDER")
@telling_options
def command(
    *,
    backend: str,
    precision: str,
    threads: int | None,
    as_json: bool,
    no_progress: bool,
    log_level: str,
    keep_drops: bool,
    keep_streaks: bool,
    **rest: Any,
) -> int:
    """Take the rain out of pictures: PNG, JPEG, WebP and TIFF.

    INPUT is a file, a folder, or a pattern in quotes such as "photos/*.jpg"; for the last two OUTPUT is a
    folder, in which the pictures keep their names. A bad picture among many is told and left out, and the
    exit code is 1. Depth, transparency, EXIF, colour profile and resolution are kept.

    With --json, stdout gets the events start, image and end, one JSON object a line.
    """
    keep = kept(keep_drops, keep_streaks)
    engine = EngineOptions(backend=backend, precision=precision, threads=threads, keep=keep)
    job = ImageJob(engine=engine, **rest)
    with logging_to_stderr(log_level), (JsonTeller if as_json else Teller)(no_progress) as teller:
        report = restore_images(job, teller.begin, teller.tell)
        exit_code = 1 if report.failed else 0
        teller.end(summary(report), exit_code, report)
    if report.failed:
        raise DerainError(summary(report))
    return 0


def summary(report: ImageReport) -> str:
    """What was done, in one sentence."""
    failed, count = len(report.failed), len(report.done)
    files = "1 other file" if report.left_alone == 1 else f"{report.left_alone} other files"
    alone = f"; {files} left alone" if report.left_alone else ""
    if failed:
        return f"{failed} of {count} pictures could not be restored{alone}"
    return f"restored {count} {'picture' if count == 1 else 'pictures'} in {report.seconds:.1f} s{alone}"
