"""`derain benchmark-set DIR`."""

from pathlib import Path

import click

from derain.train.benchmark_set import build
from derain.train.commands.train import data_folder
from derain.train.recipe import load_recipe


@click.command(name="benchmark-set")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--recipe", default="realtime", show_default=True, help="Recipe whose held-out photos are used."
)
@click.option("--data", help="Folder the recipe's photos lie in.  [default: $DERAIN_DATA]")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(min=0))
def command(folder: Path, recipe: str, data: str | None, seed: int) -> None:
    """Build held-out pairs in FOLDER: drops, streaks, joint and clean, the same for the same seed."""
    count = build(folder, load_recipe(recipe).data, data_folder(data), seed)
    click.echo(f"{folder}: {count} pairs each of drops, streaks, joint and clean")
