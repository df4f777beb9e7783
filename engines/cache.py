"""The folder of compiled models and what was measured of them: owner-only, because what lies there is run."""

import logging
import os
import stat
import sys
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

LIMIT = 256 * 2**20
"""Bytes of compiled models after which the oldest go."""


def folder(chosen: Path | None = None) -> Path:
    """`chosen`, or `$XDG_CACHE_HOME/derain`, or `~/.cache/derain`; not made here."""
    if chosen is not None:
        return chosen
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules say that a relative path there is to be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "derain"


def prepare(chosen: Path | None, name: str, holds: str = "compiled models") -> Path | None:
    """Makes the owner-only folder `name` (a backend's, say) in the cache and thins it out.

    None, with the reason logged as a warning, where it can't be written or belongs to somebody else.
    """
    place = folder(chosen) / name
    try:
        folder(chosen).mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
        _own(place)
        with tempfile.TemporaryFile(dir=place):
            pass
        thin_out(place, LIMIT)
    except OSError as error:
        log.warning("%s are not kept: the cache %s: %s", holds, place, error.strerror or error)
        return None
    return place


def _own(place: Path) -> None:
    if sys.platform == "win32":  # where a user's profile is closed to others already
        return
    facts = place.stat()
    if facts.st_uid != os.geteuid():
        raise PermissionError(f"belongs to user {facts.st_uid}")
    if stat.S_IMODE(facts.st_mode) != 0o700:
        place.chmod(0o700)


def thin_out(place: Path, limit: int) -> None:
    """Removes the least recently written files until at most `limit` bytes are left."""
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in place.iterdir())
    left = sum(size for _, size, _ in files)
    for _, size, path in files:
        if left <= limit:
            return
        path.unlink(missing_ok=True)
        left -= size


def size(place: Path) -> int:
    """Bytes in all files below `place`; 0 where there is no such folder."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
