"""`derain engine`: plans for TensorRT, built before they are needed, and the cache they are kept in."""

import click

from derain.pipeline.commands.group import Commands, Entry

SUBJECTS: tuple[Entry, ...] = (
    ("build", "derain.pipeline.commands.engine_build", "", "Build a plan here, or for cards elsewhere."),
    ("list", "derain.pipeline.commands.engine_list", "", "List the plans that are kept."),
    ("inspect", "derain.pipeline.commands.engine_inspect", "", "Tell all about one plan."),
    ("verify", "derain.pipeline.commands.engine_verify", "", "Find plans that were touched."),
    ("clean", "derain.pipeline.commands.engine_clean", "", "Remove plans."),
    ("add", "derain.pipeline.commands.engine_add", "", "Take in a plan that was built elsewhere."),
)


@click.group("engine", cls=Commands, table=SUBJECTS)
def command() -> None:
    """Build plans for TensorRT and look after the cache they are kept in."""
