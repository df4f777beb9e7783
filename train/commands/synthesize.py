"""`derain synthesize INPUT FOLDER`."""

from pathlib import Path
from typing import Any

import click

from derain.engines.errors import UsageError
from derain.pipeline.commands.options import number_option, path_option, whole_option
from derain.pipeline.commands.video import time_option
from derain.pipeline.log import LEVELS, logging_to_stderr
from derain.pipeline.progress import choose
from derain.train.commands.options import seed_option
from derain.train.degradations.presets import PRESETS
from derain.train.synthesis.job import synthesize
from derain.train.synthesis.plan import MASKS, SynthesisJob


@click.command(
    "synthesize",
    epilog="\b\nPresets:\n" + "\n".join(f"  {one.name:14} {one.help}" for one in PRESETS),
)
@click.argument("input", callback=path_option)
@click.argument("folder", callback=path_option)
@click.option("--rain", metavar="PRESET", help="What falls, by its name below.")
@click.option("--seed", callback=seed_option, metavar="N", help="Another seed, other rain.  [default: 1]")
@click.option(
    "--count", callback=whole_option(1, 1000), metavar="N", help="Rains for each input.  [default: 1]"
)
@click.option(
    "--mask",
    metavar="|".join(mask.name for mask, _ in MASKS),
    help="Which mask: Qian's over 30 of 255, SPANet's, or a soft one.  [default: qian]",
)
@click.option(
    "--from-sidecar",
    "sidecar",
    callback=path_option,
    metavar="FILE|FOLDER",
    help="Make the same pixels again from a side-car, or a folder of them.",
)
@click.option("--start", callback=time_option, metavar="TIME", help="Of a video: where to begin.")
@click.option("--duration", callback=time_option, metavar="TIME", help="Of a video: how much to do.")
@click.option("--crf", callback=number_option(0, 63), metavar="0..63", help="Of a video: smaller is better.")
@click.option("--drop-unsupported", is_flag=True, help="Leave out streams the container can't hold.")
@click.option("--as-progressive", is_flag=True, help="Take interlaced pictures as they are.")
@click.option("--json", "as_json", is_flag=True, help="Say how it goes as JSON lines on stdout.")
@click.option("--no-progress", is_flag=True, help="Say only what failed and what was done.")
@click.option("--log-level", type=click.Choice(LEVELS), default="warning", show_default=True)
def command(*, sidecar: Path | None, as_json: bool, no_progress: bool, log_level: str, **rest: Any) -> int:
    """Make rain on a photo, a folder of photos, or a video.

    FOLDER is made, with rainy, clean and mask inside, and params with a JSON side-car for each input. Photos
    become PNGs of 8 bits; a video keeps its sound, its times and all else. The rain of each file hangs on the
    seed and the file's name alone. FOLDER appears whole, or, when something fails, not at all.

    With --json, stdout gets the events progress and end, one JSON object a line.
    """
    given = {name: value for name, value in rest.items() if value is not None}
    free = {"input", "folder", "drop_unsupported", "as_progressive"}
    if sidecar is not None and (also := sorted(given.keys() - free)):
        options = ", ".join(f"--{name}" for name in also)
        raise UsageError(f"--from-sidecar tells all that falls; leave out {options}")
    with logging_to_stderr(log_level):
        try:
            synthesize(SynthesisJob(sidecar=sidecar, **given), choose(as_json, no_progress))
        except KeyboardInterrupt:  # already told
            return 130
    return 0
