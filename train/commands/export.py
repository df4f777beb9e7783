"""`derain export CHECKPOINT OUTPUT`."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import click

from derain.train.export import ExportOptions, export


@click.command(name="export")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--name", help="Name on the card.  [default: the recipe's]")
@click.option("--commit", "trained_at", help="Commit it was trained with, where not the one checked out.")
@click.option("--quality", type=click.Path(path_type=Path), help="For the card: derain evaluate --json.")
@click.option("--speed", type=click.Path(path_type=Path), help="For the card: derain bench --json.")
@click.option("--dryness", type=click.Path(path_type=Path), help="For the card: derain bench dryness --json.")
def command(
    checkpoint: Path,
    output: Path,
    name: str | None,
    trained_at: str | None,
    quality: Path | None,
    speed: Path | None,
    dryness: Path | None,
) -> None:
    """Write the averaged network of CHECKPOINT as ONNX with its card to OUTPUT."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = ExportOptions(name, trained_at, quality, speed, dryness)
    click.echo(json.dumps(asdict(export(checkpoint, output, options)), indent=1))
