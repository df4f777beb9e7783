"""Options that several commands have, and the callbacks that read what the user wrote."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from derain.engines.errors import UsageError
from derain.pipeline.compare import MASK_LEVELS
from derain.pipeline.log import LEVELS
from derain.pipeline.restore import TileChoice, parse_tile

F = TypeVar("F", bound=Callable[..., Any])
Callback = Callable[[click.Context, click.Parameter, str | None], Any]


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order `--help` shows them."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def number_option(low: float, high: float) -> Callback:
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


def whole_option(low: int, high: int) -> Callback:
    """A callback for a whole number from `low` to `high`."""

    def whole(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
        if text is None:
            return None
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise UsageError(f"{parameter.opts[0]} takes a whole number from {low} to {high}, not {text!r}")
        return int(text)

    return whole


def name_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """A name as it is; an empty one (a shell variable that nobody set) does not mean the current folder."""
    if text == "":
        name = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        raise UsageError(f"{name} is empty; give the name of a file or folder")
    return text


def path_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Path | None:
    """The path of a file or folder."""
    name = name_option(ctx, parameter, text)
    return None if name is None else Path(name)


def tile_option(ctx: click.Context, parameter: click.Parameter, text: str) -> TileChoice:
    """ "auto", "none" or a number of pixels."""
    return parse_tile(text)


network_options = together(
    click.option(
        "--model", default="auto", metavar="NAME|FILE", help="auto, a shipped network or a .onnx file."
    ),
    click.option(
        "--backend", default="auto", metavar="NAME", help="auto, cpu, or one of derain doctor's list."
    ),
    click.option(
        "--precision", default="auto", metavar="NAME", help="auto, fp32, int8, or what the backend takes."
    ),
    click.option("--threads", callback=whole_option(1, 1024), metavar="N", help="Threads of the network."),
)
"""Which network, and on what it runs: model, backend, precision, threads."""

restoring_options = together(
    click.option(
        "--tile",
        default="auto",
        callback=tile_option,
        metavar="auto|none|N",
        help="Restore in tiles of N pixels a side.",
    ),
    click.option(
        "--strength",
        default="1",
        callback=number_option(0, 1),
        metavar="0..1",
        help="How much of the rain to take: 0 leaves the picture, 1 restores it.",
    ),
    click.option(
        "--keep-drops",
        is_flag=True,
        help="Leave drops on the lens (networks with an attention map of drops).",
    ),
    click.option(
        "--keep-streaks",
        is_flag=True,
        help="Leave falling rain (networks with an attention map of streaks).",
    ),
)
"""How pictures are restored: tile, strength, keep-drops, keep-streaks."""


def kept(drops: bool, streaks: bool) -> tuple[str, ...]:
    """The attention maps whose rain stays, by name."""
    return ("drops",) * drops + ("streaks",) * streaks


def mask_options(metavar: str) -> Callable[[F], F]:
    """Where the picture was altered: mask-out, which takes `metavar`, and mask-levels."""
    return together(
        click.option(
            "--mask-out",
            callback=path_option,
            metavar=metavar,
            help="Also write a mask: white where the picture was altered, black elsewhere.",
        ),
        click.option(
            "--mask-levels",
            default=str(MASK_LEVELS),
            show_default=True,
            callback=whole_option(0, 254),
            metavar="0..254",
            help="Altered is what changed by more of 255 levels than this; 0 marks every altered pixel.",
        ),
    )


compare_option = click.option(
    "--compare",
    type=click.Choice(["side", "split"]),
    help="Write rainy and restored in one picture: side by side, or each one half.",
)

telling_options = together(
    click.option("--overwrite", is_flag=True, help="Replace files that exist."),
    click.option("--json", "as_json", is_flag=True, help="Say how it goes as JSON lines on stdout."),
    click.option("--no-progress", is_flag=True, help="Say only what runs, what failed and what was done."),
    click.option("--log-level", type=click.Choice(LEVELS), default="warning", show_default=True),
)
"""How it ends and is told: overwrite, json, no-progress, log-level."""
