"""`derain engine clean`."""

import click

from derain.engines.errors import DerainError, UsageError
from derain.engines.plans.store import Entry, Store
from derain.pipeline.commands.engine_words import (
    count,
    json_option,
    kept_store,
    mib,
    named,
    show_json,
    size_of,
)


@click.command("clean")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Remove every plan.")
@json_option
def command(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Remove plans that are not as they were built, or those whose names begin with NAME, or all.

    What is left of builds that did not come to their ends goes too.
    """
    if names and everything:
        raise UsageError("derain engine clean takes names or --all, not both")
    store = kept_store()
    entries = list(store.entries()) if store else []
    chosen = [named(entries, name) for name in names]
    if not names:
        chosen = [entry for entry in entries if everything or entry.refusal]
    size = sum(size_of(entry.path) for entry in chosen)
    if store:
        remove(store, chosen, everything)
    if as_json:
        show_json({"removed": [entry.path.stem for entry in chosen], "bytes": size})
    else:
        click.echo(f"{count(len(chosen))} removed ({mib(size)}), {len(entries) - len(chosen)} left")


def remove(store: Store, entries: list[Entry], everything: bool) -> None:
    """Raises DerainError where that can't be."""
    if store.unwritable:
        raise DerainError(f"nothing can be removed: {store.unwritable}")
    try:
        for entry in entries:
            store.remove(entry.path)
        store.sweep(everything)
    except OSError as error:
        raise DerainError(f"{error.filename} can't be removed: {error.strerror}") from error
