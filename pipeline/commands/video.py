"""`derain video INPUT OUTPUT`."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.log import LEVELS, logging_to_stderr
from derain.pipeline.progress import choose
from derain.pipeline.restore import parse_tile
from derain.pipeline.timecode import parse_time


def time_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Fraction | None:
    """A time the user wrote, exact."""
    return None if text is None else parse_time(text, parameter.opts[0])


def number_option(low: float, high: float) -> Any:
    """A callback for a number from `low` to `high`."""

    def number(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise UsageError(f"{parameter.opts[0]} takes a number from {low:g} to {high:g}, not {text!r}")
        return value

    return number


def threads_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """A count from 1 up."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"--threads takes a whole number from 1 up, not {text!r}")
    return int(text)


def encoder_options(ctx: click.Context, parameter: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    """key=value pairs; the last of one key holds."""
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"-e takes KEY=VALUE (preset=slow), not {pair!r}")
        options[key] = value
    return options


@click.command("video")
@click.argument("input", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--model", default="auto", metavar="NAME|FILE", help="A shipped network or a .onnx file.")
@click.option("--backend", default="auto", metavar="NAME", help="auto, openvino or onnxruntime.")
@click.option("--precision", default="auto", metavar="NAME", help="auto, fp32, or what the backend takes.")
@click.option("--threads", callback=threads_option, metavar="N", help="Threads of the network.")
@click.option("--tile", default="auto", metavar="auto|none|N", help="Restore in tiles of N pixels a side.")
@click.option(
    "--strength",
    default="1",
    callback=number_option(0, 1),
    metavar="0..1",
    help="How much of the rain to take: 0 leaves the picture, 1 restores it.",
)
@click.option("--codec", metavar="NAME", help="The encoder; libx264, or what fits the input and container.")
@click.option(
    "-e",
    "--encoder-option",
    "encoder_options",
    multiple=True,
    callback=encoder_options,
    metavar="KEY=VALUE",
    help="An option of the encoder, e.g. preset=slow; repeatable.",
)
@click.option(
    "--crf",
    callback=number_option(0, 63),
    metavar="0..63",
    help="Quality for encoders that know it; smaller is better.",
)
@click.option(
    "--compare",
    type=click.Choice(["side", "split"]),
    help="Write rainy and restored in one picture: side by side, or each one half.",
)
@click.option("--start", callback=time_option, metavar="TIME", help="Seconds or HH:MM:SS.mmm to begin at.")
@click.option("--duration", callback=time_option, metavar="TIME", help="Seconds or HH:MM:SS.mmm to do.")
@click.option("--rain-layer", type=click.Path(path_type=Path), help="Also write what was taken away.")
@click.option("--drop-unsupported", is_flag=True, help="Leave out streams the container can't hold.")
@click.option("--as-progressive", is_flag=True, help="Take interlaced pictures as they are.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--json", "as_json", is_flag=True, help="Say how it goes as JSON lines on stdout.")
@click.option("--no-progress", is_flag=True, help="Say only what runs and what was done.")
@click.option("--log-level", type=click.Choice(LEVELS), default="warning", show_default=True)
def command(
    *,
    backend: str,
    precision: str,
    threads: int | None,
    tile: str,
    as_json: bool,
    no_progress: bool,
    log_level: str,
    **rest: Any,
) -> int:
    """Take the rain out of a video file.

    The container of OUTPUT follows from its name; sound, subtitles and all else are copied. Ctrl-C keeps what
    is done as OUTPUT's NAME.partial.EXT, a second Ctrl-C discards it. SIGTERM and SIGHUP do the same.

    With --json, stdout gets the events start, progress and end, one JSON object a line.
    """
    engine = EngineOptions(backend=backend, precision=precision, threads=threads)
    job = VideoJob(engine=engine, tile=parse_tile(tile), **rest)
    with logging_to_stderr(log_level):
        try:
            report = derain_video(job, choose(as_json, no_progress))
        except KeyboardInterrupt:  # already told, with what was kept
            return 130
    if report.shortfall:
        raise DerainError(report.shortfall)
    return 0
