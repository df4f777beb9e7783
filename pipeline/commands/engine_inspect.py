"""`derain engine inspect NAME`."""

from collections.abc import Iterator
from typing import Any

import click

from derain.engines.plans.manifest import Manifest
from derain.engines.plans.store import Entry
from derain.pipeline.commands.engine_words import (
    facts,
    json_option,
    kept_entries,
    mib,
    named,
    show_json,
    target_of,
)


@click.command("inspect")
@click.argument("name")
@json_option
def command(name: str, as_json: bool) -> None:
    """Tell all about the plan whose name begins with NAME, as derain engine list has it."""
    entry = named(kept_entries(), name)
    if as_json:
        show_json(facts(entry))
        return
    click.echo(f"{entry.path}")
    for label, value in rows(entry):
        click.echo(f"  {label}: {value}")


def rows(entry: Entry) -> Iterator[tuple[str, str]]:
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
    yield "device", f"{target_of(key.target)}, driver {key.target.driver or 'any'}, {key.target.system}"
    yield "built", f"{manifest.built} in {manifest.seconds:.1f} s by derain {manifest.by}"
    if manifest.origin:
        yield "added from", manifest.origin
    yield "size", f"{mib(manifest.size)} (sha256 {manifest.sha256})"
    yield from ((name, plain(value)) for name, value in manifest.details.items() if value)
    yield from _parity(manifest)


def _parity(manifest: Manifest) -> Iterator[tuple[str, str]]:
    parity = manifest.parity
    if parity is None:
        yield "parity", "not checked yet: it is where it first runs"
        return
    yield "parity", parity.told()
    yield "passed", "; ".join(parity.failures) or f"all at {parity.bar:g} dB or above"


def plain(value: Any) -> str:
    """What a builder told, without JSON's brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    if isinstance(value, list):
        parts = (" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in value)
        return "; ".join(parts)
    return str(value)
