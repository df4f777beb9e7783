"""Options that several commands about data have."""

import os
import re
from pathlib import Path

import click

from derain.engines.errors import UsageError


def seed_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """A seed: any whole number that is not negative and fits into 64 bits."""
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,20}", text, re.ASCII) or int(text) >= 1 << 64:
        raise UsageError(f"{parameter.opts[0]} takes a whole number from 0 to {(1 << 64) - 1}, not {text!r}")
    return int(text)


def optional_data(text: str | None) -> Path | None:
    """The folder of the data, None where none was named."""
    named = text or os.environ.get("DERAIN_DATA")
    return Path(named) if named else None


def data_folder(text: str | None) -> Path:
    """The folder of the data; UsageError where none was named."""
    folder = optional_data(text)
    if folder is None:
        raise UsageError("name the folder of the recipe's photos with --data or the variable DERAIN_DATA")
    return folder
