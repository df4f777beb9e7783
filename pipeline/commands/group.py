"""Groups of commands that are imported on first use, so that the run-time install needs no torch."""

import importlib
from typing import Any, TypeAlias

import click

from derain.engines.errors import UsageError

Entry: TypeAlias = tuple[str, str, str, str]
"""Name, module with a click command named `command`, extra it needs ("" for none), one line of help."""


class Commands(click.Group):
    """A group of the commands in `table`."""

    def __init__(self, *args: Any, table: tuple[Entry, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, *_ in self.table]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name, module, extra, _ in self.table:
            if name == cmd_name:
                return load(f"{ctx.command_path} {name}", module, extra)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, _, _, text in self.table])


def load(name: str, module: str, extra: str) -> click.Command:
    """Imports a command; a missing optional package becomes a UsageError that names the extra."""
    try:
        command: click.Command = importlib.import_module(module).command
    except ModuleNotFoundError as error:
        if not extra or (error.name or "").startswith("derain"):
            raise
        raise UsageError(
            f"{name} needs the package {error.name!r}, which is not installed; "
            f'install it with: pip install "derain[{extra}]"'
        ) from error
    return command
