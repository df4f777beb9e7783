"""`derain datasets jrsrd QIAN OUTPUT`."""

import sys
from pathlib import Path

import click

from derain.pipeline.commands.options import path_option
from derain.train.commands.options import seed_option
from derain.train.sets.jrsrd import build


@click.command("jrsrd")
@click.argument("qian", callback=path_option)
@click.argument("output", callback=path_option)
@click.option("--seed", callback=seed_option, metavar="N", help="Another seed, other streaks.  [default: 7]")
def command(qian: Path, output: Path, seed: int | None) -> None:
    """Build JRSRD in the new folder OUTPUT: streaks of four intensities over the raindrop set in QIAN.

    QIAN is the whole set (train, test_a, test_b) or one split. The same seed gives the same pictures.
    """
    count = build(qian, output, 7 if seed is None else seed, tell)
    click.echo(f"{output}: {count} pairs")


def tell(done: int, total: int) -> None:
    """How far the work is, on a terminal's stderr."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {total} pictures{'' if done < total else chr(10)}", nl=False, err=True)
