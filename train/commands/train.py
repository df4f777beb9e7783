"""`derain train RECIPE`."""

import logging
import re
from pathlib import Path

import click

from derain.engines.errors import UsageError
from derain.train.commands.options import data_folder
from derain.train.parallel import first, one_voice
from derain.train.recipe import load_recipe
from derain.train.trainer import RunOptions, train

STEPS = click.IntRange(min=1)


def seconds(text: str) -> float:
    """Seconds of "90", "90s", "15m" or "2h"; UsageError otherwise."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found:
        raise UsageError(f"--time-limit takes seconds, or 90s, 15m, 2h, not {text!r}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


@click.command(name="train")
@click.argument("recipe")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@click.option("--data", help="Folder the recipe's photos lie in.  [default: $DERAIN_DATA]")
@click.option("--output", type=click.Path(path_type=Path), help="Run folder.  [default: runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on from the run folder's checkpoint, where there is one.")
@click.option("--start-from", type=click.Path(path_type=Path, exists=True), help="Checkpoint to fine-tune.")
@click.option("--time-limit", help="Stop with a checkpoint after this long: 90s, 15m, 2h.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="Processes that make patches; 0 for none.",
)
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--vgg16", type=click.Path(path_type=Path), help="VGG16 weights for perceptual losses.")
@click.option("--teacher", type=click.Path(path_type=Path), help="Checkpoint of a network to learn from.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, exists=True),
    metavar="FOLDER|VIDEO",
    help="Rainy frames, to train under INT8's rounding.",
)
@click.option("--log-every", default=100, show_default=True, type=STEPS, help="Steps between log lines.")
@click.option(
    "--checkpoint-every", default=1000, show_default=True, type=STEPS, help="Steps between checkpoints."
)
def command(
    recipe: str,
    changes: tuple[str, ...],
    data: str | None,
    output: Path | None,
    resume: bool,
    start_from: Path | None,
    time_limit: str | None,
    workers: int,
    device: str,
    vgg16: Path | None,
    teacher: Path | None,
    calibration: Path | None,
    log_every: int,
    checkpoint_every: int,
) -> None:
    """Train a network from RECIPE, a TOML file or the name of a shipped one.

    The same command with --resume goes on from the run folder's checkpoint, bit by bit as if it had never
    stopped. Under torchrun, several processes train together.
    """
    level = logging.INFO if first() else logging.ERROR
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    with one_voice():
        loaded = load_recipe(recipe, changes)
        options = RunOptions(
            data=data_folder(data),
            output=output or Path("runs") / loaded.name,
            resume=resume,
            start_from=start_from,
            time_limit=seconds(time_limit) if time_limit else None,
            workers=workers,
            device=device,
            vgg16=vgg16,
            teacher=teacher,
            calibration=calibration,
            log_every=log_every,
            checkpoint_every=checkpoint_every,
            where=f"{recipe} with --set" if changes else recipe,
        )
        checkpoint = train(loaded, options)
    if first():
        click.echo(checkpoint)
