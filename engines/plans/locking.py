"""One process does a thing while the others wait: a lock that the system takes back when its owner dies."""

import contextlib
import errno
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

EVERY = 0.1
"""Seconds between two looks at a lock that another process holds."""
_FAR = 1 << 30
"""Windows closes locked bytes to reading too: so the byte is far behind the owner's name."""
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@contextmanager
def alone(path: Path, waiting: Callable[[str], None], died: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock in the file `path`, which is made and stays.

    Where another process or thread holds it, `waiting` is told once who that is ("process 123 on host"), and
    this one waits. `died` is told who had it and ended without giving it back: with a process its locks go.
    Raises OSError where the file can't be made or its file system has no locks.
    """
    file = _acquired(path, waiting)
    try:
        if before := _owner(file):
            died(before)
        _sign(file, f"process {os.getpid()} on {platform.node()}")
        yield
    finally:
        _sign(file, "")
        os.close(file)


def held(path: Path) -> bool:
    """Whether somebody holds the lock in `path` now; raises OSError where it can't be opened."""
    file = _open(path)
    try:
        return not _try(file)
    finally:
        os.close(file)


def _acquired(path: Path, waiting: Callable[[str], None]) -> int:
    told = False
    while True:
        file = _open(path)
        try:
            while not _try(file):
                if not told:
                    waiting(_owner(file) or "another process")
                    told = True
                time.sleep(EVERY)
            if _is_at(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # it was removed meanwhile, and the next to come would make another


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _try(file: int) -> bool:
    """Takes the lock if it is free."""
    try:
        if sys.platform == "win32":
            os.lseek(file, _FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _owner(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    return os.read(file, 200).decode(errors="replace").strip("\0 ")


def _sign(file: int, name: str) -> None:
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, name.encode())
