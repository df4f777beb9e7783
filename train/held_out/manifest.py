"""The manifest of a benchmark set: what is in it, of what it was made, and whether it still is so."""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from derain.engines.errors import DerainError, UsageError
from derain.train.degradations.sidecar import from_json, to_json
from derain.train.synthesis.plan import MOST_NAMED
from derain.train.whole_folder import sha256_of

NAME = "manifest.json"
VERSION = 1


@dataclass(frozen=True)
class Origin:
    """A photo or clip the set was made of: its name without folder, and sha256."""

    name: str
    sha256: str


@dataclass(frozen=True)
class SetRecipe:
    """How one set was made: `how` in words, of which `origins` by name; `times` in seconds of a moving one's
    pictures, in their order, empty for stills."""

    name: str
    how: str
    origins: tuple[str, ...]
    pictures: int
    times: tuple[float, ...] = ()


@dataclass(frozen=True)
class File:
    """One picture: its place in the set, sha256 and size of the file, and pixels."""

    path: str
    sha256: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All of a set. `digest`: one sha256 for all files, the same where every byte is."""

    version: int = VERSION
    derain: str = metadata.version("derain")
    seed: int
    digest: str
    photos: tuple[Origin, ...]
    clips: tuple[Origin, ...]
    sets: tuple[SetRecipe, ...]
    files: tuple[File, ...]


def origin(path: Path) -> Origin:
    """A file that a set is made of."""
    return Origin(path.name, sha256_of(path))


def write_manifest(
    folder: Path,
    seed: int,
    photos: tuple[Origin, ...],
    clips: tuple[Origin, ...],
    sets: tuple[SetRecipe, ...],
) -> Manifest:
    """Writes the manifest of the pictures that lie in `folder`."""
    files = tuple(described(folder, path) for path in pictures_in(folder))
    manifest = Manifest(seed=seed, digest=digest(files), photos=photos, clips=clips, sets=sets, files=files)
    tree = to_json(manifest, NAME)
    (folder / NAME).write_text(json.dumps(tree, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return manifest


def pictures_in(folder: Path) -> Iterator[Path]:
    """All files of a set but its manifest, in the order of their names."""
    found = (path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def described(folder: Path, path: Path) -> File:
    """One PNG of a set."""
    with path.open("rb") as file:
        width, height = struct.unpack(">2I", file.read(24)[16:])
    place = path.relative_to(folder).as_posix()
    return File(place, sha256_of(path), path.stat().st_size, width, height)


def digest(files: tuple[File, ...]) -> str:
    """sha256 of the lines that `sha256sum` prints for the files."""
    return hashlib.sha256("".join(f"{f.sha256}  {f.path}\n" for f in files).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a set. Raises UsageError where there is none that can be read."""
    path = folder / NAME
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{folder} is not a benchmark set: {path} can't be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if isinstance(tree, dict) and tree.get("version") != VERSION:
        raise UsageError(f"{path} is of version {tree.get('version')!r}; derain reads {VERSION}")
    return from_json(Manifest, tree, str(path))


def check(folder: Path) -> Manifest:
    """Compares a set with its manifest. DerainError names what changed, is missing or is too much."""
    manifest = read_manifest(folder)
    wanted = {file.path: file.sha256 for file in manifest.files}
    found = {path.relative_to(folder).as_posix(): sha256_of(path) for path in pictures_in(folder)}
    wrong = {
        "changed": [path for path in wanted if path in found and wanted[path] != found[path]],
        "missing": [path for path in wanted if path not in found],
        "not in it": [path for path in found if path not in wanted],
    }
    if digest(manifest.files) != manifest.digest:
        wrong["changed"].append(NAME)
    complaints = [f"{what}: {named(paths)}" for what, paths in wrong.items() if paths]
    if complaints:
        raise DerainError(f"{folder} is not as its manifest says; {'; '.join(complaints)}")
    return manifest


def named(paths: list[str]) -> str:
    """The first MOST_NAMED of some paths."""
    more = len(paths) - MOST_NAMED
    return ", ".join(paths[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
