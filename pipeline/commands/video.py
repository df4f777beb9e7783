"""`derain video INPUT OUTPUT`."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.commands.options import (
    compare_option,
    kept,
    mask_options,
    network_options,
    number_option,
    path_option,
    restoring_options,
    telling_options,
)
from derain.pipeline.gpu.way import DECODERS
from derain.pipeline.job import VideoJob, derain_video
from derain.pipeline.log import logging_to_stderr
from derain.pipeline.progress import choose
from derain.pipeline.prometheus import MetricsTeller
from derain.pipeline.timecode import parse_time


def time_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Fraction | None:
    """A time the user wrote, exact."""
    return None if text is None else parse_time(text, parameter.opts[0])


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
@click.argument("input", callback=path_option)
@click.argument("output", callback=path_option)
@network_options
@restoring_options
@click.option(
    "--bypass",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="Whether frames without rain skip the network and stay as they are.",
)
@click.option(
    "--instant/--wait-for-engine",
    default=False,
    help="Begin on the CPU while a plan is built; waiting, the default, gives the same bits each time.",
)
@click.option(
    "--decoder",
    type=click.Choice(DECODERS),
    default="auto",
    show_default=True,
    help="What decodes: the card where the network runs there, only the card, or the CPU.",
)
@click.option(
    "--codec",
    metavar="NAME",
    help="The encoder; nvenc for the card's, libx264, or what fits the input and container.",
)
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
@compare_option
@click.option("--start", callback=time_option, metavar="TIME", help="Seconds or HH:MM:SS.mmm to begin at.")
@click.option("--duration", callback=time_option, metavar="TIME", help="Seconds or HH:MM:SS.mmm to do.")
@click.option("--rain-layer", callback=path_option, metavar="FILE", help="Also write what was taken away.")
@click.option(
    "--show-attention",
    callback=path_option,
    metavar="FILE",
    help="Also write where the network sees rain, as a heat map (networks with an attention map).",
)
@mask_options("FILE")
@click.option("--drop-unsupported", is_flag=True, help="Leave out streams the container can't hold.")
@click.option("--as-progressive", is_flag=True, help="Take interlaced pictures as they are.")
@click.option(
    "--metrics",
    callback=path_option,
    metavar="FILE.prom",
    help="Keep a file of figures for Prometheus (its textfile collector).",
)
@telling_options
def command(
    *,
    metrics: Path | None,
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
    """Take the rain out of a video file.

    The container of OUTPUT follows from its name; sound, subtitles and all else are copied. Ctrl-C keeps what
    is done as OUTPUT's NAME.partial.EXT, a second Ctrl-C discards it. SIGTERM and SIGHUP do the same.

    With --json, stdout gets the events start, progress and end, one JSON object a line.
    """
    keep = kept(keep_drops, keep_streaks)
    engine = EngineOptions(backend=backend, precision=precision, threads=threads, keep=keep)
    job = VideoJob(engine=engine, **rest)
    with logging_to_stderr(log_level):
        try:
            teller = choose(as_json, no_progress)
            report = derain_video(job, teller if metrics is None else MetricsTeller(teller, metrics))
        except KeyboardInterrupt:  # already told, with what was kept
            return 130
    if report.shortfall:
        raise DerainError(report.shortfall)
    return 0
