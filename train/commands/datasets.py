"""`derain datasets`: what a set of pairs holds, whether it is sound, and JRSRD from Qian's set."""

import click

from derain.pipeline.commands.group import Commands, Entry

SUBJECTS: tuple[Entry, ...] = (
    ("list", "derain.train.commands.datasets_list", "", "Layouts, splits, pairs and sizes of a folder."),
    (
        "check",
        "derain.train.commands.datasets_check",
        "",
        "Faults of a set's pairs, or scenes that two sets share.",
    ),
    ("jrsrd", "derain.train.commands.datasets_jrsrd", "", "Build JRSRD from the raindrop set of Qian."),
)


@click.group("datasets", cls=Commands, table=SUBJECTS)
def command() -> None:
    """Look at paired sets in their published layouts, check them, build one."""
