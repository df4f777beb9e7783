"""`derain train RECIPE`."""

import logging
import re
from pathlib import Path

import click

from derain.engines.errors import UsageError
from derain.train.commands.options import data_folder
from derain.train.recipe import load_recipe
from derain.train.trainer import RunOptions, train


def seconds(text: str) -> float:
    """Seconds of "90", "90s", "15m" or "2h"; UsageError otherwise."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        raise UsageError(f"--time-limit takes seconds, or 90s, 15m, 2h, not {text!r}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


@click.command(name="train")
@click.argument("recipe")
@click.option("--data", help="Folder the recipe's photos lie in.  [default: $DERAIN_DATA]")
@click.option("--output", type=click.Path(path_type=Path), help="Run folder.  [default: runs/RECIPE]")
@click.option("--start-from", type=click.Path(path_type=Path, exists=True), help="Checkpoint to fine-tune.")
@click.option("--time-limit", help="Stop with a checkpoint after this long: 90s, 15m, 2h.")
@click.option("--workers", default=1, show_default=True, help="Processes that make patches; 0 for none.")
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--log-every", default=100, show_default=True, help="Steps between log lines.")
@click.option("--checkpoint-every", default=1000, show_default=True, help="Steps between checkpoints.")
def command(
    recipe: str,
    data: str | None,
    output: Path | None,
    start_from: Path | None,
    time_limit: str | None,
    workers: int,
    device: str,
    log_every: int,
    checkpoint_every: int,
) -> None:
    """Train a network from RECIPE, a TOML file or the name of a shipped one.

    Run the same command again to go on from the run folder's checkpoint.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    loaded = load_recipe(recipe)
    options = RunOptions(
        data=data_folder(data),
        output=output or Path("runs") / loaded.name,
        start_from=start_from,
        time_limit=seconds(time_limit) if time_limit else None,
        workers=workers,
        device=device,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
    )
    click.echo(train(loaded, options))
