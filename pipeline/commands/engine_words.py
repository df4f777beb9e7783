"""What the commands of `derain engine` have in common: the plans that are kept, in words and as JSON."""

import json
from pathlib import Path
from typing import Any

import click

from derain.engines.errors import DerainError, UsageError
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.key import Target
from derain.engines.plans.manifest import Manifest, plain
from derain.engines.plans.store import MANIFEST, PLAN, Entry, Store, StoredPlan

SHOWN, LEAST = 12, 4
"""Of the 64 letters of a plan's name: so many are shown, and so many are enough to name it."""

json_option = click.option("--json", "as_json", is_flag=True, help="The same for programs.")


def kept_store() -> Store | None:
    """The user's, None where there is none; raises DerainError where it is not to be trusted."""
    try:
        return Store.existing()
    except UnsafeError as error:
        raise DerainError(f"the cache of plans is not used: {error}") from error


def kept_entries() -> list[Entry]:
    """All plans there are."""
    store = kept_store()
    return list(store.entries()) if store else []


def named(entries: list[Entry], name: str) -> Entry:
    """The one whose name begins so; raises UsageError where there is none, or several."""
    begun = name.removesuffix(PLAN).removesuffix(MANIFEST)
    found = [entry for entry in entries if entry.path.stem.startswith(begun)]
    if len(begun) < LEAST or len(found) != 1:
        raise UsageError(
            f"{name!r} begins the names of {len(found)} plans; give {LEAST} letters or more of one that "
            "derain engine list shows"
        )
    return found[0]


def show_json(value: Any) -> None:
    """On stdout."""
    click.echo(json.dumps(value, indent=2))


def facts(entry: Entry) -> dict[str, Any]:
    """For programs."""
    return {
        "name": entry.path.stem,
        "path": str(entry.path),
        "manifest": plain(entry.manifest) if entry.manifest else None,
        "refusal": entry.refusal._asdict() if entry.refusal else None,
    }


def line(entry: Entry) -> str:
    """For people, with the name first."""
    parts = [line_of(entry.manifest)] if entry.manifest else []
    parts += [f"not used: {entry.refusal.reason}"] if entry.refusal else []
    return f"{entry.path.stem[:SHOWN]}  {'; '.join(parts)}"


def line_of(manifest: Manifest) -> str:
    """What is to be known of a plan at a glance."""
    key = manifest.key
    return f"{key}, {key.version}, {target_of(key.target)}, {mib(manifest.size)}, {_nearness(manifest)}"


def _nearness(manifest: Manifest) -> str:
    parity = manifest.parity
    if parity is None:
        return "not checked yet"
    if not parity.passed:
        return f"below its bar: {parity.failures[0]}"
    worst = parity.worst.psnr
    return "no difference to fp32" if worst is None else f"{worst:.1f} dB at worst"


def target_of(target: Target) -> str:
    """What a plan runs on."""
    return f"{target.device or 'any device'} of capability {', '.join(target.capabilities)}"


def count(plans: int) -> str:
    """So many plans."""
    return f"{plans} plan{'' if plans == 1 else 's'}"


def mib(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 2**20:.1f} MiB"


def tell_stored(stored: StoredPlan, as_json: bool) -> None:
    """A plan that is there now; raises DerainError where it is not kept."""
    if as_json:
        show_json({"path": str(stored.path) if stored.path else None, "manifest": plain(stored.manifest)})
    elif stored.path:
        click.echo(line(Entry(stored.path, stored.manifest, None)))
    if stored.path is None:
        raise DerainError(f"the plan {stored.manifest.key} was built, and could not be kept")


def size_of(path: Path) -> int:
    """Bytes of a plan; 0 where its file is missing."""
    return path.stat().st_size if path.exists() else 0
