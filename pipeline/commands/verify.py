"""`derain verify FOLDER`."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from derain.pipeline.commands.options import path_option
from derain.pipeline.sinks.evidence_book import Verdict, verify

WORDS = {
    "changed": "is not what was written",
    "missing": "is missing",
    "extra": "was not written with it",
    "unfinished": "has no side-car: the run was cut off, or it goes on",
}


@click.command("verify")
@click.argument("folder", callback=path_option, metavar="FOLDER")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Tell whether evidence is still as it was written.

    FOLDER is what `derain live --output evidence:FOLDER` wrote, or one camera of it. Every file that was
    changed, is missing, or was not there is told by its name, and the exit code is 1 then. The hashes printed
    are all it takes to know later that nothing was made anew: keep them elsewhere.
    """
    verdict = verify(folder)
    if as_json:
        click.echo(json.dumps(asdict(verdict), indent=2))
    else:
        show(verdict)
    ctx.exit(1 if verdict.faults else 0)


def show(verdict: Verdict) -> None:
    """For people."""
    for fault in verdict.faults:
        click.echo(f"{fault.path} {WORDS[fault.what]}")
    faults = f"{len(verdict.faults)} not as written" if verdict.faults else "all as written"
    click.echo(f"{verdict.files} files of {verdict.segments} segments: {faults}")
    for path, digest in verdict.books.items():
        click.echo(f"{path}: sha256 {digest}")
