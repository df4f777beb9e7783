"""`derain engine add PLAN --trust`."""

from pathlib import Path

import click

from derain.engines.plans.adding import add
from derain.pipeline.commands.engine_words import json_option, tell_stored
from derain.pipeline.commands.options import path_option


@click.command("add")
@click.argument("plan", callback=path_option)
@click.option("--trust", is_flag=True, help="You know who built it: a plan runs with all your rights.")
@json_option
def command(plan: Path, trust: bool, as_json: bool) -> None:
    """Take PLAN, which was built elsewhere and has its manifest beside it, into the cache."""
    tell_stored(add(plan, trust), as_json)
