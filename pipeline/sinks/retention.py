"""Which recordings a folder keeps: by their age, their bytes, and the room on the disk."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z(?:-\d+)?")
"""How recordings are called; nothing else is ever removed."""
FREE_LEAST = 256 * 2**20


def free_bytes(folder: Path) -> int:
    """Room on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def new_name(folder: Path, now: float) -> str:
    """A name for what begins `now`, seconds since 1970, that nothing in `folder` has."""
    name = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3] + "Z"
    taken = {path.name.removesuffix(".mkv") for path in folder.iterdir()}
    number = 1
    while (name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return name if number == 1 else f"{name}-{number}"


@dataclass(frozen=True)
class Keep:
    """`seconds`: how old a recording gets; `most_bytes`: all of a camera's together; None for any.
    `free_least`: room that is left on the disk."""

    seconds: float | None = None
    most_bytes: int | None = None
    free_least: int = FREE_LEAST


class Retention:
    """Removes the oldest recordings of `folder`, files or folders, as `keep` says; never `current`."""

    def __init__(self, folder: Path, keep: Keep, free: Callable[[Path], int] = free_bytes) -> None:
        self._folder, self._keep, self._free = folder, keep, free
        self.removed = 0

    def tidy(self, now: float, current: Path | None = None) -> bool:
        """Removes what `now`, in seconds since 1970, is too old or too much; whether there is room to go on.

        The newest that is whole stays, whatever the disk has.
        """
        found = recordings(self._folder, current)
        while found and self._too_old(found[0], now):
            self._remove(found.pop(0))
        if self._keep.most_bytes is not None:
            sizes = [size_of(path) for path in found]
            total = sum(sizes) + (size_of(current) if current else 0)
            while len(found) > (current is None) and total > self._keep.most_bytes:
                total -= sizes.pop(0)
                self._remove(found.pop(0))
        return self.make_room(found)

    def make_room(self, found: list[Path]) -> bool:
        """Removes the oldest of `found` until the disk has room; whether it has."""
        while self._free(self._folder) < self._keep.free_least:
            if len(found) < 2:
                return False
            self._remove(found.pop(0))
        return True

    def give_way(self) -> None:
        """Removes the oldest recording, where it is not the last one."""
        found = recordings(self._folder, None)
        if len(found) > 1:
            self._remove(found[0])

    def _too_old(self, path: Path, now: float) -> bool:
        return self._keep.seconds is not None and last_change(path) < now - self._keep.seconds

    def _remove(self, path: Path) -> None:
        self.removed += 1
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def recordings(folder: Path, current: Path | None) -> list[Path]:
    """Those in a folder but `current`, the oldest first."""
    found = [path for path in folder.iterdir() if NAME.fullmatch(path.name.removesuffix(".mkv"))]
    return sorted(path for path in found if path != current and not path.is_symlink())


def files_of(path: Path) -> Sequence[Path]:
    """A recording's files."""
    return sorted(path.iterdir()) if path.is_dir() else [path]


def size_of(path: Path) -> int:
    """Bytes of a recording; 0 where it is gone."""
    return sum(file.stat().st_size for file in files_of(path) if file.exists())


def last_change(path: Path) -> float:
    """When it was last written, in seconds since 1970."""
    return max((file.stat().st_mtime for file in files_of(path) if file.exists()), default=0.0)
