"""What evidence says of itself, and whether it is still as it was written.

Each segment is a folder with a side-car `segment.json`, which has the hashes of its files; the camera's
folder has `segments.json`, which has the hashes of all side-cars. Whoever can write all of it can make it
anew: the hash of `segments.json`, kept elsewhere, is what tells.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.sinks.publish import sync

SIDE_CAR, BOOK = "segment.json", "segments.json"
FORMAT = "derain evidence 1"


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """A file that is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """What a file says; None where it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def write_side_car(segment: Path, about: Mapping[str, Any]) -> None:
    """`about` the segment, and the hashes of its files."""
    files = sorted(path for path in segment.iterdir() if path.name != SIDE_CAR)
    for path in files:
        sync(path)
    hashes = {path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in files}
    write_json(segment / SIDE_CAR, {"format": FORMAT, **about, "files": hashes})


def enter(folder: Path, segment: Path) -> None:
    """Enters a finished segment into the book of its camera."""
    listed = book_of(folder)
    listed[segment.name] = sha256_of(segment / SIDE_CAR)
    write_json(folder / BOOK, {"format": FORMAT, "segments": listed})


def book_of(folder: Path) -> dict[str, str]:
    """The segments of a camera with the hashes of their side-cars; raises DerainError for a spoilt book."""
    path = folder / BOOK
    if not path.exists():
        return {}
    listed = segments_in(read_json(path))
    if listed is None:
        raise DerainError(f"{path} can't be read, so that nothing can be entered; move it away first")
    return listed


def segments_in(book: Any) -> dict[str, str] | None:
    """What a book says, None where it is none."""
    listed = book.get("segments") if isinstance(book, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(value, str) for value in listed.values()):
        return None
    return listed if all(map(is_name, listed)) else None


def is_name(name: str) -> bool:
    """Whether it names something right in a folder."""
    return Path(name).name == name and name not in ("", "..")


@dataclass(frozen=True)
class Fault:
    """`path`: of a file or folder, below the one that was verified. `what` is wrong: "changed", "missing",
    "extra", or "unfinished"."""

    path: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """`books`: the hash of each camera's `segments.json`, by its path. `files`: those that were compared."""

    faults: tuple[Fault, ...]
    segments: int
    files: int
    books: Mapping[str, str]


def verify(folder: Path) -> Verdict:
    """Whether evidence, of one camera or of all, is as written; raises UsageError where there is none."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name one that --output evidence:FOLDER has written")
    cameras = [folder] if (folder / BOOK).exists() else sorted(p for p in folder.iterdir() if p.is_dir())
    if not any(is_camera(camera) for camera in cameras):
        raise UsageError(
            f"{folder} holds no evidence; name a folder that --output evidence:FOLDER has written"
        )
    faults: list[Fault] = []
    if cameras != [folder]:
        faults += [Fault(path.name, "extra") for path in sorted(folder.iterdir()) if not path.is_dir()]
    segments = files = 0
    books = {}
    for camera in cameras:
        found = list(check_camera(camera))
        faults += [Fault(str(path.relative_to(folder)), what) for path, what in found if what != "whole"]
        files += sum(what in ("whole", "changed") for _, what in found)
        segments += len(segments_in(read_json(camera / BOOK)) or {})
        if (camera / BOOK).exists():
            books[str((camera / BOOK).relative_to(folder))] = sha256_of(camera / BOOK)
    return Verdict(tuple(faults), segments, files, books)


def is_camera(folder: Path) -> bool:
    """Whether a folder has a book, or segments whose book is gone."""
    return (folder / BOOK).exists() or any(folder.glob(f"*/{SIDE_CAR}"))


def check_camera(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each thing in a camera's folder, or that should be there, with what is wrong with it, or "whole"."""
    book = folder / BOOK
    listed = segments_in(read_json(book))
    if listed is None:
        yield book, "changed" if book.exists() else "missing"
    for name, digest in (listed or {}).items():
        yield from check_segment(folder / name, digest)
    for path in sorted(folder.iterdir()):
        if path == book or path.name in (listed or {}):
            continue
        if path.is_dir() and not path.is_symlink() and not (path / SIDE_CAR).exists():
            yield path, "unfinished"
        else:
            yield path, "extra"


def check_segment(segment: Path, digest: str) -> Iterator[tuple[Path, str]]:
    """The files of a segment that the book has, `digest` of its side-car."""
    side_car = segment / SIDE_CAR
    if not segment.is_dir():
        yield segment, "missing"
        return
    if not side_car.is_file():
        yield side_car, "missing"
        return
    yield side_car, "whole" if sha256_of(side_car) == digest else "changed"
    about = read_json(side_car)
    files = about.get("files") if isinstance(about, dict) else None
    known = files if isinstance(files, dict) and all(map(is_name, files)) else {}
    for name, facts in known.items():
        yield segment / name, check_file(segment / name, facts)
    for path in sorted(segment.iterdir()):
        if path != side_car and path.name not in known:
            yield path, "extra"


def check_file(path: Path, facts: Any) -> str:
    """What is wrong with a file, or "whole"."""
    if not path.is_file():
        return "missing"
    return "whole" if isinstance(facts, dict) and sha256_of(path) == facts.get("sha256") else "changed"
