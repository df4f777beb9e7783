"""`derain engine`: plans for TensorRT, built before they are needed, and the cache they are kept in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from derain.engines.errors import DerainError, UsageError
from derain.engines.plans.adding import add
from derain.engines.plans.folder import UnsafeError, plans_folder
from derain.engines.plans.key import Target
from derain.engines.plans.manifest import Manifest, as_json
from derain.engines.plans.store import MANIFEST, PLAN, Entry, Store, StoredPlan
from derain.pipeline.commands.options import path_option

SHOWN = 12
"""Of the 64 letters of a plan's name."""
LEAST_SHOWN = 4

json_option = click.option("--json", "as_json_", is_flag=True, help="The same for programs.")


@click.group("engine")
def command() -> None:
    """Build plans for TensorRT and look after the cache they are kept in."""


@command.command("list")
@json_option
def list_command(as_json_: bool) -> None:
    """List the plans that are kept."""
    entries = _entries()
    if as_json_:
        click.echo(json.dumps([_facts(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        click.echo(f"{_name(entry.path)}  {_line(entry)}")
    if not entries:
        click.echo(f"no plans in {plans_folder()}")


@command.command("inspect")
@click.argument("name")
@json_option
def inspect_command(name: str, as_json_: bool) -> None:
    """Tell all about the plan whose name begins with NAME, as derain engine list has it."""
    entry = _named(_entries(), name)
    if as_json_:
        click.echo(json.dumps(_facts(entry), indent=2))
        return
    click.echo(f"{entry.path}")
    for label, value in _rows(entry):
        click.echo(f"  {label}: {value}")


@command.command("verify")
@json_option
@click.pass_context
def verify_command(ctx: click.Context, as_json_: bool) -> None:
    """Compare each plan with what was built; the exit code is 1 where one was touched."""
    entries = _entries()
    touched = [entry for entry in entries if entry.refusal]
    if as_json_:
        click.echo(json.dumps({"plans": len(entries), "touched": [_facts(one) for one in touched]}, indent=2))
    else:
        for entry in touched:
            click.echo(f"{_name(entry.path)}  {_line(entry)}")
        click.echo(f"{_count(len(entries))}, {len(touched)} of them not as built")
    ctx.exit(1 if touched else 0)


@command.command("clean")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Remove every plan.")
@json_option
def clean_command(names: tuple[str, ...], everything: bool, as_json_: bool) -> None:
    """Remove plans that are not as they were built, or those whose names begin with NAME, or all.

    What is left of builds that did not come to their ends goes too.
    """
    if names and everything:
        raise UsageError("derain engine clean takes names or --all, not both")
    store = _store()
    entries = list(store.entries()) if store else []
    chosen = [_named(entries, name) for name in names]
    if not names:
        chosen = [entry for entry in entries if everything or entry.refusal]
    size = sum(_size(entry.path) for entry in chosen)
    if store:
        _remove(store, chosen, everything)
    if as_json_:
        click.echo(json.dumps({"removed": [entry.path.stem for entry in chosen], "bytes": size}))
    else:
        click.echo(f"{_count(len(chosen))} removed ({_mib(size)}), {len(entries) - len(chosen)} left")


@command.command("add")
@click.argument("plan", callback=path_option)
@click.option("--trust", is_flag=True, help="You know who built it: a plan runs with all your rights.")
@json_option
def add_command(plan: Path, trust: bool, as_json_: bool) -> None:
    """Take PLAN, which was built elsewhere and has its manifest beside it, into the cache."""
    tell_stored(add(plan, trust), as_json_)


def tell_stored(stored: StoredPlan, as_json_: bool) -> None:
    """A plan that is there now."""
    if as_json_:
        path = str(stored.path) if stored.path else None
        click.echo(json.dumps({"path": path, "manifest": as_json(stored.manifest)}, indent=2))
    elif stored.path:
        click.echo(f"{_name(stored.path)}  {line_of(stored.manifest)}")
    else:
        raise DerainError(f"the plan {stored.manifest.key} was built, and could not be kept")


def _store() -> Store | None:
    try:
        return Store.existing()
    except UnsafeError as error:
        raise DerainError(f"the cache of plans is not used: {error}") from error


def _entries() -> list[Entry]:
    store = _store()
    return list(store.entries()) if store else []


def _named(entries: list[Entry], name: str) -> Entry:
    """The one whose name begins so; raises UsageError where there is none, or several."""
    begun = name.removesuffix(PLAN).removesuffix(MANIFEST)
    found = [entry for entry in entries if entry.path.stem.startswith(begun)]
    if len(begun) < LEAST_SHOWN or len(found) != 1:
        raise UsageError(
            f"{name!r} begins the names of {len(found)} plans; give {LEAST_SHOWN} letters or more of one "
            "that derain engine list shows"
        )
    return found[0]


def _remove(store: Store, entries: list[Entry], everything: bool) -> None:
    if store.unwritable:
        raise DerainError(f"nothing can be removed: {store.unwritable}")
    try:
        for entry in entries:
            store.remove(entry.path)
        store.sweep(everything)
    except OSError as error:
        raise DerainError(f"{error.filename} can't be removed: {error.strerror}") from error


def _facts(entry: Entry) -> dict[str, Any]:
    """For programs."""
    return {
        "name": entry.path.stem,
        "path": str(entry.path),
        "manifest": as_json(entry.manifest) if entry.manifest else None,
        "refusal": entry.refusal._asdict() if entry.refusal else None,
    }


def _name(path: Path) -> str:
    return path.stem[:SHOWN]


def _line(entry: Entry) -> str:
    parts = [line_of(entry.manifest)] if entry.manifest else []
    return "; ".join([*parts, *([f"not used: {entry.refusal.reason}"] if entry.refusal else [])])


def line_of(manifest: Manifest) -> str:
    """What is to be known of a plan at a glance."""
    parity = manifest.parity
    if parity is None:
        near = "not checked yet"
    elif parity.passed:
        near = (
            "no difference to fp32" if parity.worst.psnr is None else f"{parity.worst.psnr:.1f} dB at worst"
        )
    else:
        near = f"below its bar: {parity.worst.told()}"
    key = manifest.key
    return f"{key}, {key.version}, {_target(key.target)}, {_mib(manifest.size)}, {near}"


def _target(target: Target) -> str:
    where = target.device or "any device"
    return f"{where} of capability {', '.join(target.capabilities)}"


def _rows(entry: Entry) -> Iterator[tuple[str, str]]:
    """All of it, for people."""
    if entry.refusal:
        yield "not used", entry.refusal.reason
    if entry.manifest is None:
        return
    manifest, key = entry.manifest, entry.manifest.key
    yield "network", f"{key.network} in {key.precision} (graph {key.onnx})"
    yield "backend", f"{key.backend} {key.version}"
    yield "shapes", ", ".join(key.shapes)
    yield "options", ", ".join(f"{name} {value}" for name, value in key.options) or "as usual"
    yield "device", f"{_target(key.target)}, driver {key.target.driver or 'any'}, {key.target.system}"
    yield "built", f"{manifest.built} in {manifest.seconds:.1f} s by derain {manifest.by}"
    if manifest.origin:
        yield "added from", manifest.origin
    yield "size", f"{_mib(manifest.size)} (sha256 {manifest.sha256})"
    yield from ((name, str(value)) for name, value in manifest.details.items())
    if manifest.parity is None:
        yield "parity", "not checked yet: it is where it first runs"
    else:
        yield "parity", manifest.parity.told()
        yield "passed", "; ".join(manifest.parity.failures) or f"all at {manifest.parity.bar:g} dB or above"


def _count(plans: int) -> str:
    return f"{plans} plan{'' if plans == 1 else 's'}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
