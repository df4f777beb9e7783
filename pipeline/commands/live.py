"""`derain live SOURCE...`."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.pipeline.commands.options import network_options, number_option, path_option, together
from derain.pipeline.live.address import Address, parse_address
from derain.pipeline.live.job import CameraJob, LiveJob, run_live
from derain.pipeline.live.opening import TRANSPORTS, SourceOptions
from derain.pipeline.live.quantities import parse_rate, parse_seconds, parse_size
from derain.pipeline.live.sinks import OutputJob, WebJob
from derain.pipeline.live.slots import POLICIES
from derain.pipeline.live.telling import JsonLiveTeller, KeptLog, MetricsLiveTeller, choose
from derain.pipeline.log import LEVELS, EchoHandler, logging_to

if TYPE_CHECKING:
    from derain.pipeline.live.config import Config

NAMED = re.compile(r"([A-Za-z0-9_][\w .-]{0,60})=(.+)", re.DOTALL)
"""NAME=SOURCE; an address has :// or a path before any = of its own."""
RUN = ("policy", "max_latency", "strength", "bypass", "model", "backend", "precision")
"""Options of the run that a file may have too; what the command line says holds."""
TOKEN = "DERAIN_WEB_TOKEN"
"""In the environment: what viewers of the page need, in place of what is made at each start."""
ENGINE = ("backend", "precision", "threads")


def seconds_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A time such as 80ms."""
    return None if text is None else parse_seconds(text, parameter.opts[0])


def size_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """WIDTHxHEIGHT."""
    return None if text is None else parse_size(text)


def rate_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Fraction | None:
    """Frames a second."""
    return None if text is None else parse_rate(text)


source_options = together(
    click.option("--size", callback=size_option, metavar="WxH", help="Asked of webcams and the pattern."),
    click.option("--rate", callback=rate_option, metavar="FPS", help="Asked of webcams and the pattern."),
    click.option("--fourcc", metavar="CODE", help="Asked of webcams, such as MJPG."),
    click.option("--transport", type=click.Choice(TRANSPORTS), help="Of RTSP; auto is TCP, then UDP."),
    click.option("--loop", is_flag=True, default=None, help="A file begins anew at its end."),
    click.option(
        "--open-timeout", callback=seconds_option, metavar="TIME", help="Until the first frame of a source."
    ),
    click.option(
        "--read-timeout",
        callback=seconds_option,
        metavar="TIME",
        help="Without a frame, until it is opened anew.",
    ),
)
"""What is asked of every source: size, rate, fourcc, transport, loop, time-outs."""
SOURCE = ("size", "rate", "fourcc", "transport", "loop", "open_timeout", "read_timeout")


@click.command("live")
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("--config", callback=path_option, metavar="FILE", help="Cameras in a file, YAML: docs/live.md.")
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    help="Where frames come faster than they are restored, keep the newest, or let the source wait.  "
    "[default: live]",
)
@click.option(
    "--max-latency",
    callback=seconds_option,
    metavar="TIME",
    help="Give up quality, then frames, rather than take longer (80ms).",
)
@network_options
@click.option(
    "--strength",
    callback=number_option(0, 1),
    metavar="0..1",
    help="How much of the rain to take.  [default: 1]",
)
@click.option(
    "--bypass", type=click.Choice(["auto", "off"]), help="Whether frames without rain skip the network."
)
@click.option(
    "--instant/--wait-for-engine",
    default=True,
    help="Begin on the CPU while a plan is built, or wait for it.  [default: instant]",
)
@source_options
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="OUTPUT",
    help="rtsp://HOST/PATH, hls:FOLDER, record:FOLDER, evidence:FOLDER, window, virtual...; repeatable.",
)
@click.option(
    "--web",
    is_flag=False,
    flag_value="",
    metavar="[HOST:PORT]",
    help="Serve a page with all cameras; last on the line, or as --web=HOST:PORT.",
)
@click.option(
    "--web-name",
    "web_names",
    multiple=True,
    metavar="NAME",
    help="What browsers may call the page's server too, behind a proxy; repeatable.",
)
@click.option("--duration", callback=seconds_option, metavar="TIME", help="End after so long (30s, 5min).")
@click.option(
    "--metrics", callback=path_option, metavar="FILE.prom", help="Keep a file of figures for Prometheus."
)
@click.option("--json", "as_json", is_flag=True, help="Say how it goes as JSON lines on stdout.")
@click.option("--no-progress", is_flag=True, help="Say only what runs, what changes and what was done.")
@click.option("--log-level", type=click.Choice(LEVELS), default="warning", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    sources: tuple[str, ...],
    config: Path | None,
    instant: bool,
    duration: float | None,
    outputs: tuple[str, ...],
    web: str | None,
    web_names: tuple[str, ...],
    metrics: Path | None,
    as_json: bool,
    no_progress: bool,
    log_level: str,
    **rest: Any,
) -> int:
    """Take the rain out of live video: webcams, streams, files at their own pace.

    SOURCE is the number or device of a webcam (0, /dev/video0), an address (rtsp://HOST/PATH, rtmp, http,
    udp, srt), a video file, or pattern, which is made here; NAME=SOURCE gives it a name. Ctrl-C and SIGTERM
    end it within 5 seconds, with exit code 0.
    """
    given = {name: value for name, value in rest.items() if was_given(ctx, name)}
    job = job_of(sources, config, given, outputs)
    page = web_of(job.web, web, web_names, os.environ.get(TOKEN, ""))
    job = replace(job, instant=instant, duration=duration, web=page)
    kept = KeptLog()
    with logging_to(kept if as_json else EchoHandler(), log_level):
        teller = JsonLiveTeller(kept) if as_json else choose(no_progress)
        run_live(job, teller if metrics is None else MetricsLiveTeller(teller, metrics))
    return 0


def was_given(ctx: click.Context, name: str) -> bool:
    """Whether the command line says it."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def job_of(
    sources: Sequence[str],
    config: Path | None,
    given: dict[str, Any],
    outputs: Sequence[str] = (),
) -> LiveJob:
    """The job of a command line and its file; what the former says of the run holds, and outputs add up."""
    if config is not None and sources:
        raise UsageError("the sources are in --config or on the command line; give one of the two")
    settings = {name: given[name] for name in given if name in (*RUN, *ENGINE)}
    of_source = {name: given[name] for name in given if name in SOURCE}
    page: WebJob | None = None
    wanted = tuple(OutputJob(text) for text in outputs)
    if config is None:
        cameras = cameras_of(sources, SourceOptions(**of_source))
    else:
        told = told_in(config, of_source)
        cameras, settings = tuple(entry.camera for entry in told.cameras), {**told.settings, **settings}
        wanted = (*outputs_in(told), *wanted)
        page = None if told.web is None else WebJob(told.web)
    engine = EngineOptions(**{name: settings.pop(name) for name in ENGINE if name in settings})
    return LiveJob(cameras, engine=engine, outputs=wanted, web=page, **settings)


def web_of(told: WebJob | None, place: str | None, names: tuple[str, ...], token: str) -> WebJob | None:
    """The page that a file and the command line ask for, which holds."""
    if place is None and told is None:
        if names:
            raise UsageError("--web-name names the server of the page, which --web asks for")
        return None
    return WebJob(told.place if told is not None and place is None else place or "", names, token)


def told_in(config: Path, of_source: dict[str, Any]) -> "Config":
    """What a file says."""
    from derain.pipeline.live.config import read_config  # noqa: PLC0415 - reads YAML, which others need not

    if of_source:
        name = next(iter(of_source)).replace("_", "-")
        raise UsageError(f"--{name} is of sources, which --config has: write it there")
    return read_config(config)


def outputs_in(told: "Config") -> tuple[OutputJob, ...]:
    """Those for all cameras, and those of each."""
    own = [OutputJob(text, (one.camera.name,)) for one in told.cameras for text in one.outputs]
    return (*(OutputJob(text) for text in told.outputs), *own)


def cameras_of(sources: Sequence[str], options: SourceOptions) -> tuple[CameraJob, ...]:
    """Those of a command line, each with a name of its own."""
    cameras: list[CameraJob] = []
    for text in sources:
        named = NAMED.fullmatch(text)
        address = parse_address(named[2] if named else text)
        taken = [camera.name for camera in cameras]
        cameras.append(CameraJob(named[1] if named else free_name(address, taken), address, options))
    return tuple(cameras)


def free_name(address: Address, taken: Sequence[str]) -> str:
    """A name for a source, as short as it may be: its kind with its number."""
    wanted = address.kind.value
    names = [wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)
