"""`derain datasets jrsrd QIAN OUTPUT`."""

import sys
from pathlib import Path

import click

from derain.train.jrsrd_set import build


@click.command("jrsrd")
@click.argument("qian", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--seed", default=7, show_default=True, type=click.IntRange(min=0), help="Of the streaks.")
def command(qian: Path, output: Path, seed: int) -> None:
    """Build JRSRD in the new folder OUTPUT: streaks of four intensities over the raindrop set in QIAN.

    QIAN is the whole set (train, test_a, test_b) or one split. The same seed gives the same pictures.
    """
    count = build(qian, output, seed, tell)
    click.echo(f"{output}: {count} pairs")


def tell(done: int, total: int) -> None:
    """How far the work is, on a terminal's stderr."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {total} pictures{'' if done < total else chr(10)}", nl=False, err=True)
