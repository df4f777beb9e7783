"""`derain export CHECKPOINT OUTPUT`."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import click

from derain.train.export import export


@click.command(name="export")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--name", help="Name on the card.  [default: the recipe's]")
@click.option("--commit", "trained_at", help="Commit it was trained with, where not the one checked out.")
def command(checkpoint: Path, output: Path, name: str | None, trained_at: str | None) -> None:
    """Write the averaged network of CHECKPOINT as ONNX with its card to OUTPUT."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    click.echo(json.dumps(asdict(export(checkpoint, output, name, trained_at)), indent=1))
