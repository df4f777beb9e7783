"""Plans on disk, each beside its manifest; one that is not what it says is told by what is wrong with it."""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from derain.engines.plans import folder, locking
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.key import Difference, PlanKey, differences
from derain.engines.plans.manifest import Manifest, parsed, written

PLAN, MANIFEST, LOCK = ".plan", ".json", ".lock"
KERNELS, TIMINGS = ".kernels", ".timings"
"""See aside.py."""
LIMIT = 2 << 30
"""Bytes of plans after which those go that were not used for longest."""
MOST_MANIFEST = 1 << 20
ABANDONED = 3600
"""Seconds after which a half-written file is nobody's."""


class Refusal(NamedTuple):
    """Why a plan is not used: `field` of its key or manifest that is wrong, and in words all that is."""

    field: str
    reason: str


@dataclass(frozen=True)
class StoredPlan:
    """A plan that may be handed to its runtime; `path` None: it is not kept."""

    data: bytes
    manifest: Manifest
    path: Path | None


@dataclass(frozen=True)
class Entry:
    """What lies at `path` (of the plan); `manifest` None where it can't be read; `refusal` None where all is
    well."""

    path: Path
    manifest: Manifest | None
    refusal: Refusal | None


class Store:
    """The plans in `place`, an owner-only folder. `unwritable`: why nothing can be kept, "" where it can."""

    def __init__(self, place: Path, unwritable: str = "") -> None:
        self.place = place
        self.unwritable = unwritable

    @classmethod
    def open(cls, cache_dir: Path | None = None) -> "Store":
        """The user's store, made where there is none; raises UnsafeError where it is not to be trusted."""
        place = folder.plans_folder(cache_dir)
        folder.make(place)
        return cls(place, folder.against_writing(place))

    @classmethod
    def existing(cls, cache_dir: Path | None = None) -> "Store | None":
        """The user's store as it is, None where there is none; raises UnsafeError as `open`."""
        place = folder.plans_folder(cache_dir)
        if not place.is_symlink() and not place.exists():
            return None
        folder.look(place)
        return cls(place, folder.against_writing(place))

    def path_of(self, key: PlanKey) -> Path:
        """Where the plan of that key is, if there is one."""
        return self.place / (key.digest() + PLAN)

    def lock_of(self, key: PlanKey) -> Path:
        """The file whose lock is held while the plan of that key is built."""
        return self.path_of(key).with_suffix(LOCK)

    def find(self, key: PlanKey) -> StoredPlan | Refusal | None:
        """A whole plan that will do for `key`.

        Without one, why the nearest of its purpose will not; None where there is nothing of the kind.
        """
        exact = self._at(self.path_of(key), key)
        if isinstance(exact, StoredPlan):
            return exact
        others: list[tuple[int, Refusal]] = []
        for path in self._paths():
            manifest = self._manifest(path)
            if isinstance(manifest, Refusal) or manifest.key.purpose != key.purpose:
                continue
            found = self._at(path, key)
            if isinstance(found, StoredPlan):
                return found
            if found is not None:
                others.append((len(differences(manifest.key, key)), found))
        return exact or min(others, default=(0, None))[1]

    def _at(self, path: Path, key: PlanKey) -> StoredPlan | Refusal | None:
        """The plan at `path`, if it will do for `key`; None where there is none."""
        if not path.exists() and not path.with_suffix(MANIFEST).exists():
            return None
        manifest = self._manifest(path)
        if isinstance(manifest, Refusal):
            return manifest
        if gaps := differences(manifest.key, key):
            return Refusal(gaps[0].field, "; ".join(told(gap, manifest.key.backend) for gap in gaps))
        return self._load(path, manifest)

    def _load(self, path: Path, manifest: Manifest) -> StoredPlan | Refusal:
        """The plan at `path`, if it is the one that the manifest is of."""
        if path.stem != manifest.key.digest():
            return Refusal("name", "it lies under the name of another plan, or its manifest was changed")
        try:
            data = folder.read(path)
        except FileNotFoundError:
            return Refusal("plan", "its file is missing")
        except UnsafeError as error:
            return Refusal("plan", str(error))
        if wrong := damage(manifest, data):
            return wrong
        with contextlib.suppress(OSError):
            os.utime(path)  # the least recently used go first
        return StoredPlan(data, manifest, path)

    def _manifest(self, path: Path) -> Manifest | Refusal:
        """That of the plan at `path`."""
        try:
            return parsed(folder.read(path.with_suffix(MANIFEST), MOST_MANIFEST))
        except FileNotFoundError:
            return Refusal("manifest", "it has no manifest: its build did not come to its end")
        except UnsafeError as error:
            return Refusal("manifest", f"its manifest {error}")
        except ValueError as error:
            return Refusal("manifest", f"its manifest can't be read: {error}")

    def put(self, manifest: Manifest, data: bytes) -> StoredPlan:
        """Keeps a plan; raises OSError, and then there is none under its name."""
        path = self.path_of(manifest.key)
        try:
            self.remove(path)  # what is there of an earlier plan must not be taken for the new one's
            folder.write(path, data)
            self.note(manifest)
        except OSError:
            with contextlib.suppress(OSError):
                self.remove(path)
            raise
        with contextlib.suppress(OSError):  # another process thins out too
            self.thin_out(LIMIT, path)
        return StoredPlan(data, manifest, path)

    def note(self, manifest: Manifest) -> None:
        """Writes the manifest of a plan that is kept; raises OSError."""
        folder.write(self.path_of(manifest.key).with_suffix(MANIFEST), written(manifest))

    def entries(self) -> Iterator[Entry]:
        """All that lies there, each plan read whole and compared with its manifest."""
        for path in self._paths():
            manifest = self._manifest(path)
            if isinstance(manifest, Refusal):
                yield Entry(path, None, manifest)
            else:
                loaded = self._load(path, manifest)
                yield Entry(path, manifest, loaded if isinstance(loaded, Refusal) else None)

    def _paths(self) -> list[Path]:
        """Of the plans and where plans should be, by name."""
        found = [*self.place.glob(f"*{PLAN}"), *self.place.glob(f"*{MANIFEST}")]
        return sorted({path.with_suffix(PLAN) for path in found})

    def remove(self, path: Path) -> None:
        """A plan, and first its manifest, with all that was kept for it; raises OSError."""
        path.with_suffix(MANIFEST).unlink(missing_ok=True)
        for part in self.place.glob(f"{path.stem}.*"):
            if part.suffix != LOCK:
                part.unlink(missing_ok=True)

    def sweep(self, everything: bool = False) -> None:
        """Removes what is left of builds that ended early, locks that nobody holds and, with `everything`,
        what builds were timed with; raises OSError."""
        for path in self.place.glob(f"*{TIMINGS}") if everything else ():
            path.unlink(missing_ok=True)
        for path in self.place.glob(".*.part"):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)
        for path in self.place.glob(f"*{LOCK}"):
            if not locking.held(path):
                path.unlink(missing_ok=True)

    def thin_out(self, limit: int, keep: Path) -> None:
        """Removes the least recently used plans but `keep` until at most `limit` bytes are left."""
        facts = sorted(
            (path.stat().st_mtime, path.stat().st_size, path) for path in self.place.glob(f"*{PLAN}")
        )
        left = sum(size for _, size, _ in facts)
        for _, size, path in facts:
            if left <= limit:
                return
            if path != keep:
                self.remove(path)
                left -= size


def damage(manifest: Manifest, data: bytes) -> Refusal | None:
    """What is wrong with the plan's bytes."""
    if len(data) < manifest.size:
        return Refusal("size", f"it is truncated: {len(data)} of its {manifest.size} bytes are there")
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        return Refusal("sha256", "it was changed after it was built: its sha256 is another")
    return None


WORDS = {
    "onnx": "the network it was built of has changed",
    "version": "it was built by {backend} {found}, and here is {wanted}",
    "system": "it was built for {found}, and here is {wanted}",
    "capability": "it is for compute capability {found}, and here is {wanted}",
    "device": "it was built on {found}, and here is {wanted}",
    "driver": "it was built under the driver {found}, and here is {wanted}",
}
"""What a difference means, by field; of another field both values are told."""


def told(gap: Difference, backend: str) -> str:
    """A difference in words."""
    words = WORDS.get(gap.field, "its {field} is {found}, and {wanted} is wanted")
    return words.format(**gap._asdict(), backend=backend)
