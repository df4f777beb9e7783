"""`derain models`: the networks there are, with their cards."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from derain.engines import models
from derain.engines.card import ModelCard
from derain.engines.modelfile import open_model


@dataclass(frozen=True)
class Listed:
    """One network; `default`: "auto" stands for it. `size`: of the file in bytes.

    `attention`: whether it gives an attention map. `int8`: the same network in INT8, beside it.
    """

    path: Path
    size: int
    default: bool
    attention: bool
    int8: Path | None
    card: ModelCard


@click.command("models")
@click.argument("networks", nargs=-1, metavar="[NAME|FILE]...")
@click.option("--json", "as_json", is_flag=True, help="The cards as a JSON list.")
def command(networks: Sequence[str], as_json: bool) -> None:
    """List the shipped networks with their cards, or those that are named."""
    found = [
        look_up(models.find(network)) for network in networks or [path.stem for path in models.shipped()]
    ]
    if as_json:
        click.echo(json.dumps([asdict(network) for network in found], indent=2, default=str))
    elif not found:
        click.echo("no network is shipped with this installation; give the path of a .onnx file")
    elif sys.stdout.isatty():
        show(found)
    else:
        click.echo("\n\n".join(plain(network) for network in found))


def look_up(path: Path) -> Listed:
    """Reads a network's card; raises UsageError where it is not one that derain can feed."""
    model = open_model(path)
    default = path in models.shipped() and path.stem == models.DEFAULT
    int8 = models.int8_of(path)
    return Listed(
        path, path.stat().st_size, default, model.attention, int8 if int8.exists() else None, model.card
    )


def facts(network: Listed) -> dict[str, str]:
    """What a user wants to know first, in that order; what the card does not tell is left out."""
    card = network.card
    rows = {
        "removes": ", ".join(card.removes),
        "quality": _figures(card.quality),
        "speed": _figures(card.speed),
        "precision": _precision(network),
        "data": "; ".join(card.data),
        "licence": card.licence,
        "trained": _training(card),
        "tiles": f"{card.tiling}, halo {card.halo} pixels, sizes in multiples of {card.multiple_of}",
        "attention map": "yes, for derain video --show-attention" if network.attention else "none",
        "file": f"{network.path} ({network.size / 2**20:.2f} MiB)",
    }
    return {name: value for name, value in rows.items() if value}


def title(network: Listed) -> str:
    """Name and version, and whether it is the one "auto" stands for."""
    return f"{network.card.name} {network.card.version}{' (default)' if network.default else ''}"


def plain(network: Listed) -> str:
    """One network in lines for pipes and files."""
    return "\n".join([title(network), *(f"  {name}: {value}" for name, value in facts(network).items())])


def show(found: Sequence[Listed]) -> None:
    """The networks as tables, for terminals."""
    console = Console()
    for network in found:
        table = Table(title=title(network), title_justify="left", show_header=False)
        for name, value in facts(network).items():
            table.add_row(name, value)
        console.print(table)


def _figures(figures: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {figure}" for name, figure in figures.items())


def _precision(network: Listed) -> str:
    calibrated = f", calibrated on {network.card.calibration}" if network.card.calibration else ""
    beside = f", and int8 in {network.int8.name}" if network.int8 else ""
    return f"{network.card.precision}{calibrated}{beside}"


def _training(card: ModelCard) -> str:
    seed = "" if card.seed is None else f"seed {card.seed}"
    return ", ".join(part for part in (card.recipe, seed, card.commit and f"commit {card.commit}") if part)
