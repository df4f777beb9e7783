"""Events for programs: JSON on stdout, one object a line."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from derain.engines.errors import DerainError


class JsonLines:
    """Writes events; the first that can't be written ends the run, those after it are dropped."""

    def __init__(self) -> None:
        self._heard = True

    def write(self, event: str, fields: Mapping[str, Any]) -> None:
        """One line; raises DerainError where the reader has gone, or what stdout goes to is full."""
        if not self._heard:
            return
        try:
            click.echo(json.dumps({"event": event, **{name: _rounded(fields[name]) for name in fields}}))
        except OSError as error:
            self._heard = False
            # What is left in Python's own buffer must not fail once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                why = "the program that read the --json lines has gone"
            else:
                why = f"the --json lines can't be written ({(error.strerror or str(error)).lower()})"
            raise DerainError(f"{why}, so the run ends") from error


def _rounded(value: Any) -> Any:
    """Floats, also inside, to the thousandth, which is what readers want to see; all else as it is."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value
