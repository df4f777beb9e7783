"""`derain benchmark-set FOLDER`."""

from pathlib import Path

import click

from derain.engines.errors import UsageError
from derain.pipeline.commands.options import path_option
from derain.pipeline.log import LEVELS, logging_to_stderr
from derain.pipeline.progress import choose
from derain.train.commands.options import data_folder, optional_data, seed_option
from derain.train.datasets import pictures
from derain.train.held_out.build import BenchmarkJob, build, held_out
from derain.train.held_out.clips import default_clips
from derain.train.held_out.manifest import check
from derain.train.recipe import load_recipe


def paths_option(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[Path, ...]:
    """Each text as a path."""
    return tuple(path for text in texts if (path := path_option(ctx, parameter, text)) is not None)


@click.command(name="benchmark-set")
@click.argument("folder", callback=path_option)
@click.option("--seed", default="7", show_default=True, callback=seed_option, metavar="N")
@click.option(
    "--photos",
    multiple=True,
    callback=paths_option,
    metavar="FOLDER",
    help="Clean photos, all of the folder; repeatable.  [default: those the recipe holds out]",
)
@click.option(
    "--clip",
    "clips",
    multiple=True,
    callback=paths_option,
    metavar="FILE",
    help="A clean video for the moving sets; up to 3.  [default: those of DATA/clips]",
)
@click.option("--recipe", default="realtime-s", show_default=True, help="Whose held-out photos are used.")
@click.option("--data", help="Folder the recipe's photos lie in.  [default: $DERAIN_DATA]")
@click.option("--check", "checking", is_flag=True, help="Compare FOLDER with its manifest instead.")
@click.option("--json", "as_json", is_flag=True, help="Say how it goes as JSON lines on stdout.")
@click.option("--no-progress", is_flag=True, help="Say only what failed and what was done.")
@click.option("--log-level", type=click.Choice(LEVELS), default="warning", show_default=True)
def command(
    folder: Path,
    seed: int,
    photos: tuple[Path, ...],
    clips: tuple[Path, ...],
    recipe: str,
    data: str | None,
    checking: bool,
    as_json: bool,
    no_progress: bool,
    log_level: str,
) -> int:
    """Build held-out pairs in FOLDER: drops, streaks, joint, dirt, night and clean photos, and moving clips.

    Each set has rainy, clean and mask inside, all PNG. The same seed, photos and clips give the same bytes on
    every run; manifest.json has their sha256, and --check compares FOLDER with it.
    """
    with logging_to_stderr(log_level):
        if checking:
            manifest = check(folder)
            click.echo(f"{folder}: {len(manifest.files)} files as the manifest says; {manifest.digest}")
            return 0
        job = BenchmarkJob(folder, photos_of(photos, recipe, data), clips or clips_of(data), seed)
        try:
            build(job, choose(as_json, no_progress))
        except KeyboardInterrupt:  # already told
            return 130
    return 0


def photos_of(folders: tuple[Path, ...], recipe: str, data: str | None) -> tuple[Path, ...]:
    """All pictures of the folders, or those that the recipe holds out where none is named."""
    if folders:
        return tuple(path for folder in folders for path in pictures(folder))
    return held_out(load_recipe(recipe).data, data_folder(data))


def clips_of(data: str | None) -> tuple[Path, ...]:
    """The data folder's clips. Raises UsageError where there are none."""
    folder = optional_data(data)
    clips = () if folder is None else default_clips(folder)
    if not clips:
        raise UsageError(
            "name a clean video for the moving sets with --clip, or a folder with clips/ by --data"
        )
    return clips
