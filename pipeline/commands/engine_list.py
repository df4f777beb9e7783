"""`derain engine list`."""

import click

from derain.engines.plans.folder import plans_folder
from derain.pipeline.commands.engine_words import facts, json_option, kept_entries, line, show_json


@click.command("list")
@json_option
def command(as_json: bool) -> None:
    """List the plans that are kept."""
    entries = kept_entries()
    if as_json:
        show_json([facts(entry) for entry in entries])
        return
    for entry in entries:
        click.echo(line(entry))
    if not entries:
        click.echo(f"no plans in {plans_folder()}")
