"""A file under a temporary name until it is whole: then, and only then, it gets its own."""

import os
import secrets
from pathlib import Path

from derain.engines.errors import DerainError, UsageError


class Publication:
    """The temporary name of an output, beside its target so that renaming is atomic.

    `temporary`: where to write. Raises UsageError where the target can't be written or must not be.
    """

    def __init__(self, target: Path, inputs: tuple[Path, ...] = (), overwrite: bool = False) -> None:
        self.target = target
        check_target(target, inputs, overwrite)
        self._overwrite = overwrite
        self.temporary = target.with_name(f".{target.stem}.tmp-{secrets.token_hex(4)}{target.suffix}")
        check_writable(self.temporary, target)

    @property
    def partial(self) -> Path:
        """NAME.partial.EXT beside the target."""
        return self.target.with_name(f"{self.target.stem}.partial{self.target.suffix}")

    def publish(self) -> None:
        """Syncs the temporary file to the disk and gives it the target's name. Raises DerainError."""
        if not self._overwrite and taken(self.target):
            self.discard()
            raise DerainError(f"{self.target} appeared while the work went on; it was left as it is")
        self._rename(self.target)

    def publish_partial(self) -> Path:
        """Syncs the temporary file and names it NAME.partial.EXT. Raises DerainError."""
        self._rename(self.partial)
        return self.partial

    def discard(self) -> None:
        """Removes the temporary file, if there is one."""
        self.temporary.unlink(missing_ok=True)

    def _rename(self, name: Path) -> None:
        try:
            sync(self.temporary)
            self.temporary.replace(name)
            sync(name.parent)
        except OSError as error:
            self.discard()
            raise DerainError(f"{name} can't be written: {(error.strerror or str(error)).lower()}") from error


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk; folders can't be synced on Windows and are left out."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def taken(path: Path) -> bool:
    """Whether something has this name, a symbolic link that leads nowhere too."""
    return path.is_symlink() or path.exists()


def check_target(target: Path, inputs: tuple[Path, ...], overwrite: bool) -> None:
    """Raises UsageError where `target` is an input, a folder, existing, or in no folder to write to."""
    for source in inputs:
        if target.exists() and source.exists() and target.samefile(source):
            raise UsageError(
                f"the output {target} is the input {source} itself; give the output another name"
            )
    if target.is_dir():
        raise UsageError(f"the output {target} is a folder; name a file in it")
    if taken(target) and not overwrite:
        raise UsageError(f"the output {target} exists; say --overwrite to replace it, or give another name")
    folder = target.parent
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} for the output {target.name}; make it first")


def check_writable(temporary: Path, target: Path) -> None:
    """Raises UsageError where no file can be made at `temporary`; tried, as permissions don't tell all."""
    try:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"the folder {target.parent} can't be written to ({why}); choose another place for {target.name}"
        ) from error
