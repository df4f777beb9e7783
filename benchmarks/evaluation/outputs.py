"""What a run leaves behind: files that appear whole, and a folder of restored pictures."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from derain.benchmarks.evaluation.cases import Case
from derain.benchmarks.evaluation.run import Restored
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.sinks.publish import Publication
from derain.train.whole_folder import whole_folder, write_png


def reserve(path: Path | None) -> Publication | None:
    """The place of an output, found good before any work. Raises UsageError where nothing can be written."""
    return None if path is None else Publication(path, overwrite=True)


def write(place: Publication | None, content: str | bytes) -> None:
    """Gives the file its content and its name, in one step. Raises DerainError."""
    if place is None:
        return
    try:
        place.temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        place.discard()
        why = (error.strerror or str(error)).lower()
        raise DerainError(f"{place.target} can't be written: {why}") from error
    place.publish()


def check_apart(paths: list[Path]) -> None:
    """Raises UsageError where two outputs have one name."""
    seen = set()
    for path in paths:
        if path.absolute() in seen:
            raise UsageError(f"two outputs are named {path}; give each its own")
        seen.add(path.absolute())


def output_folder(folder: Path | None) -> AbstractContextManager[Path | None]:
    """The folder for restored pictures, under a passing name until the run ends well."""
    return nullcontext() if folder is None else whole_folder(folder)


@dataclass
class Writer:
    """Writes what each model restored: `folder`/SET/MODEL/NAME.png, a clip's frames in a folder NAME."""

    folder: Path
    labels: list[str]
    _frames: dict[str, int] = field(default_factory=dict)

    def __call__(self, case: Case, restored: Restored) -> None:
        """Writes one moment. Raises DerainError."""
        for label, picture in zip(self.labels, restored.pictures, strict=True):
            path = self.folder / safe(label) / f"{case.name}.png"
            if case.kind == "clip":
                count = self._frames.get(case.name, 0)
                path = path.with_suffix("") / f"{count:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, picture)
        self._frames[case.name] = self._frames.get(case.name, 0) + 1


def safe(label: str) -> str:
    """A model's label as the name of a folder."""
    return label.replace("/", "_").replace("\\", "_")
