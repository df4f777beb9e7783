"""The `derain` program: finds the command, runs it, turns its errors into one sentence and an exit code."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import click

from derain.engines.errors import DerainError
from derain.pipeline.commands.group import Commands, Entry

COMMANDS: tuple[Entry, ...] = (
    ("video", "derain.pipeline.commands.video", "", "Take the rain out of a video file."),
    ("live", "derain.pipeline.commands.live", "", "Take the rain out of cameras and streams, live."),
    ("image", "derain.pipeline.commands.image", "", "Take the rain out of pictures."),
    ("verify", "derain.pipeline.commands.verify", "", "Tell whether evidence is as it was written."),
    ("models", "derain.pipeline.commands.models", "", "List the shipped networks with their cards."),
    ("doctor", "derain.pipeline.commands.doctor", "", "Say what this machine will run, and why."),
    ("engine", "derain.pipeline.commands.engine", "", "Build plans for TensorRT ahead, and look after them."),
    ("bench", "derain.benchmarks.commands", "", "Measure decode, restore and encode, alone and together."),
    ("train", "derain.train.commands.train", "train", "Train a network from a recipe."),
    ("networks", "derain.train.commands.networks", "train", "List the networks that can be trained."),
    ("export", "derain.train.commands.export", "train", "Write a trained network as ONNX with its card."),
    ("quantise", "derain.train.commands.quantise", "train", "Write a network in INT8, calibrated on frames."),
    ("evaluate", "derain.benchmarks.evaluate", "", "Measure networks on pairs of pictures and clips."),
    ("synthesize", "derain.train.commands.synthesize", "", "Make rain on photos and videos."),
    ("datasets", "derain.train.commands.datasets", "", "List, check and build sets of pairs."),
    ("benchmark-set", "derain.train.commands.benchmark_set", "", "Build held-out pairs to measure on."),
    ("dirt", "derain.train.commands.dirt", "", "Measure a dirty pane from pictures with and without it."),
    ("background", "derain.train.commands.background", "", "The clean background of a rainy still video."),
)


@click.group(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("derain"), prog_name="derain")
def derain() -> None:
    """Takes the rain out of video: streaks in the air and drops on the lens."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns its exit code: 0, 1 (work), 2 (usage) or 130 (interrupted)."""
    try:
        result = derain.main(args=arguments, prog_name="derain", standalone_mode=False)
    except DerainError as error:
        click.echo(f"derain: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        message = error.format_message()
        click.echo(message if "\n" in message else f"derain: {message}", err=True)  # help, or a sentence
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("derain: interrupted", err=True)
        return 130
    except OSError as error:  # of the machine rather than of the program: a full disk behind stdout, say
        click.echo(f"derain: {error}", err=True)
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    """The console script."""
    fill_closed_streams()
    end_as_ctrl_c_does()
    sys.exit(run())


def fill_closed_streams() -> None:
    """Opens the standard streams that the caller closed (`2>&-`), or the next file would take their numbers.

    A library's words for stderr would then go into the restored video.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r+", encoding="utf-8"))  # noqa: SIM115 - for good


def end_as_ctrl_c_does() -> None:
    """Lets a service manager's SIGTERM and a closed terminal's SIGHUP keep a partial file, as Ctrl-C does.

    One that is ignored, as under nohup, stays so.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
