"""`derain datasets list FOLDER`."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from derain.engines.errors import DerainError
from derain.pipeline.commands.options import path_option
from derain.train.datasets import size_on_disk
from derain.train.sets.layouts import PairedSet, read_sets


@dataclass(frozen=True)
class Row:
    """One set of a folder. `layout`: "" for pictures in none. `clean`: different clean pictures. `sizes`:
    WIDTHxHEIGHT of the clean pictures and how many have it. `problems`: of names; derain datasets check
    tells them."""

    split: str
    layout: str
    pairs: int
    clean: int
    sizes: dict[str, int]
    problems: int


def row(one: PairedSet) -> Row:
    """Counts of one set; the sizes come from the files' headers."""
    clean = {pair.clean: pair for pair in one.pairs}
    sizes: Counter[str] = Counter()
    for pair in clean.values():
        try:
            width, height = size_on_disk(pair.clean)
        except DerainError:
            sizes["unreadable"] += 1
            continue
        sizes[f"{width // 2 if pair.halves else width}x{height}"] += 1
    return Row(
        one.split or ".", one.layout, len(one.pairs), len(clean), dict(sizes.most_common()), len(one.problems)
    )


def line(found: Row) -> str:
    """One set as text: the three most frequent sizes."""
    sizes = ", ".join(f"{count} of {size}" for size, count in list(found.sizes.items())[:3])
    more = f", {len(found.sizes) - 3} more sizes" if len(found.sizes) > 3 else ""
    faults = f"  {found.problems} problems" if found.problems else ""
    counts = f"{found.layout or 'unknown':9} {found.pairs:>7} {found.clean:>7}"
    return f"{found.split:32} {counts}  {sizes}{more}{faults}"


@click.command("list")
@click.argument("folder", callback=path_option)
@click.option("--json", "as_json", is_flag=True, help="The same as a JSON list.")
def command(folder: Path, as_json: bool) -> None:
    """Say which sets of pairs lie in FOLDER: layout, split, pairs, clean pictures and their sizes."""
    found = [row(one) for one in read_sets(folder)]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    click.echo(f"{'set':32} {'layout':9} {'pairs':>7} {'clean':>7}  sizes")
    for one in found:
        click.echo(line(one))
    click.echo(f"{sum(one.pairs for one in found)} pairs in all")
