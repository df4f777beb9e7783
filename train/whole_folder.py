"""A folder that appears whole or not at all, and the files in it."""

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from derain.engines.engine import Pixels
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.pictures.coding import encode
from derain.pipeline.pictures.metadata import PictureError
from derain.pipeline.sinks.publish import sync, taken


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that gets its name when the block ends, and vanishes where it fails.

    Raises UsageError where `target` exists or can't be made, DerainError where a file can't be written.
    Errors from the block tell of `target`, not of the folder's passing name.
    """
    check_new(target)
    temporary = target.with_name(f".{target.name}.tmp-{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"the folder {target} can't be made ({why}); name another place") from error
    try:
        yield temporary
        publish(temporary, target)
    except DerainError as error:
        raise type(error)(str(error).replace(str(temporary), str(target))) from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        at = "" if error.filename is None else f" at {error.filename}".replace(str(temporary), str(target))
        raise DerainError(f"{target} was not made: {why}{at}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new(target: Path) -> None:
    """Raises UsageError where something has the name `target`, or there is no folder to make it in."""
    if taken(target):
        raise UsageError(f"{target} exists; name a new folder")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent} to make {target.name} in; make it first")


def publish(temporary: Path, target: Path) -> None:
    """Waits until all is on the disk and renames; DerainError where the name was taken meanwhile."""
    for path in (*temporary.rglob("*"), temporary):
        sync(path)
    if taken(target):
        raise DerainError(f"{target} appeared while the work went on; it was left as it is")
    temporary.rename(target)
    sync(target.parent)


def write_png(path: Path, pixels: Pixels) -> None:
    """Writes (H, W, 3) RGB or (H, W) grey, uint8 or uint16; the same bytes for the same pixels."""
    try:
        path.write_bytes(encode(pixels, None, ".png", None))
    except PictureError as error:
        raise DerainError(f"{path} {error}") from error


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
