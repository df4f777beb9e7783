"""The folder plans lie in. A plan is run as code, so nobody else may be able to have put it there."""

import os
import stat
import sys
import tempfile
from pathlib import Path

from derain.engines import cache

NAME = "plans"
"""In the cache."""
_READING = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # of a pipe nobody is waited for; not all everywhere
    _READING |= getattr(os, _name, 0)


class UnsafeError(Exception):
    """Why a file or folder is not to be trusted, or can't be had: in words."""


def plans_folder(chosen: Path | None = None) -> Path:
    """Where plans lie, see `cache.folder`; not made here."""
    return cache.folder(chosen) / NAME


def make(place: Path) -> None:
    """Makes the folder if there is none; raises UnsafeError where it can't be, or is not the user's alone."""
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise UnsafeError(_kind(place) or f"{place} can't be made") from error
    except OSError as error:
        raise UnsafeError(f"{place} can't be made: {error.strerror}") from error
    look(place)


def look(place: Path) -> None:
    """Raises UnsafeError where the folder is a link, is none, or others may write into it."""
    if reason := _kind(place):
        raise UnsafeError(reason)
    if sys.platform == "win32":  # where a user's profile is closed to others already
        return
    facts = place.stat()
    if facts.st_uid != os.geteuid():
        raise UnsafeError(f"{place} belongs to user {facts.st_uid}, not to you")
    if stat.S_IMODE(facts.st_mode) == 0o700:
        return
    try:
        place.chmod(0o700)
    except OSError as error:  # a read-only file system
        if facts.st_mode & 0o022:
            raise UnsafeError(f"others may write into {place}") from error


def _kind(place: Path) -> str:
    """Why it is no folder of its own, "" where it is one."""
    if place.is_symlink():
        return f"{place} is a link to another place"
    return "" if place.is_dir() else f"{place} is not a folder"


def against_writing(place: Path) -> str:
    """Why nothing can be kept there, "" where it can."""
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return f"{place} can't be written: {error.strerror}"


def read(path: Path, most: int | None = None) -> bytes:
    """The content of a file of the user's own, `most` bytes of it.

    Raises UnsafeError where it is a link, somebody else's or can't be read, FileNotFoundError.
    """
    try:
        with os.fdopen(os.open(path, _READING), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise UnsafeError(f"{path} is not a file")
            if sys.platform != "win32" and facts.st_uid != os.geteuid():
                raise UnsafeError(f"{path} belongs to user {facts.st_uid}, not to you")
            return file.read(most)
    except FileNotFoundError:
        raise
    except OSError as error:
        link = "it is a link to another place" if path.is_symlink() else error.strerror
        raise UnsafeError(f"{path} can't be read: {link}") from error


def write(path: Path, content: bytes) -> None:
    """Puts the file there whole or not at all, for its owner only; raises OSError."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
