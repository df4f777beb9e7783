"""The program's own messages on stderr, for as long as a command runs."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import click

LEVELS = ("debug", "info", "warning", "error")


class EchoHandler(logging.Handler):
    """Writes to whatever stderr is at the moment: a progress bar redirects it."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line; with the traceback where the record has one."""
        click.echo(f"derain: {record.levelname.lower()}: {self.format(record)}", err=True)


def logging_to_stderr(level: str) -> AbstractContextManager[None]:
    """Shows what derain logs from `level` (one of LEVELS) up."""
    return logging_to(EchoHandler(), level)


@contextmanager
def logging_to(handler: logging.Handler, level: str) -> Iterator[None]:
    """Gives `handler` what derain logs from `level` up."""
    logger = logging.getLogger("derain")
    before = logger.level
    logger.setLevel(level.upper())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
