"""A plan from elsewhere, taken into the cache where the user says that it may be."""

from dataclasses import replace
from pathlib import Path

from derain.engines.errors import DerainError, UsageError
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.manifest import Manifest, parsed
from derain.engines.plans.store import MANIFEST, Store, StoredPlan, damage


def add(path: Path, trust: bool, cache_dir: Path | None = None) -> StoredPlan:
    """Keeps a copy of the plan at `path`, whose manifest is beside it; it is measured where it first runs.

    Raises UsageError without `trust` and where it is no whole plan, DerainError where it can't be kept.
    """
    manifest, data = _manifest(path), _content(path)
    if wrong := damage(manifest, data):
        raise UsageError(f"the plan {path} is not taken: {wrong.reason}; copy it again, with its manifest")
    if not trust:
        raise UsageError(
            f"the plan {path} was not built here, and a plan is a program that runs with all your rights; "
            "give --trust if you know who built it"
        )
    try:
        own = replace(manifest, origin=str(path.absolute()), parity=None)
        return Store.open(cache_dir).put(own, data)
    except UnsafeError as error:
        raise DerainError(f"the plan {path} can't be kept: {error}") from error
    except OSError as error:
        raise DerainError(f"the plan {path} can't be kept: {error.strerror}") from error


def _manifest(plan: Path) -> Manifest:
    path = plan.with_suffix(MANIFEST)
    try:
        return parsed(_content(path))
    except ValueError as error:
        raise UsageError(f"the manifest {path} can't be read: {error}") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} can't be read ({error.strerror}); a plan is two files, NAME.plan and NAME.json"
        ) from error
