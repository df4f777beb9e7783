"""A plan from the cache, or built once and kept: by one process while the others wait for it."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from derain.engines.machine import installed
from derain.engines.parity import Parity
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.key import PlanKey
from derain.engines.plans.locking import alone
from derain.engines.plans.manifest import Manifest
from derain.engines.plans.store import Refusal, Store, StoredPlan

log = logging.getLogger(__name__)

Tell = Callable[[str], None]


class Built(Protocol):
    """What a builder gives: the plan, how many seconds it took, and what there is to tell of it (JSON)."""

    @property
    def data(self) -> bytes: ...

    @property
    def seconds(self) -> float: ...

    @property
    def details(self) -> Mapping[str, Any]: ...


def obtain(
    key: PlanKey,
    build: Callable[[], Built],
    check: Callable[[StoredPlan], Parity] | None = None,
    cache_dir: Path | None = None,
    tell: Tell = log.warning,
) -> StoredPlan:
    """The plan of `key`, from the cache or from `build`, with its parity where `check` can measure it.

    `tell` gets a sentence for whatever takes time or goes another way than usual: a plan that is not used and
    why, another process that is waited for, a cache that can't be used. Where nothing can be kept, the plan
    is used all the same. Raises what `build` and `check` raise.
    """
    store = _store(cache_dir, tell)
    if store is None:
        return _checked(_built(key, build, tell), check)
    found = store.find(key)
    if isinstance(found, StoredPlan) and _is_known(found, check):
        return found
    if store.unwritable:
        tell(f"plans are not kept: {store.unwritable}")
        return _checked(_found_or_built(store, key, build, tell), check)
    with _alone(store, key, tell):
        stored = _found_or_built(store, key, build, tell)
        if _is_known(stored, check):
            return stored
        return _noted(store, _checked(stored, check), tell)


def _is_known(stored: StoredPlan, check: object) -> bool:
    """Whether nothing is left to be measured."""
    return check is None or stored.manifest.parity is not None


def _store(cache_dir: Path | None, tell: Tell) -> Store | None:
    try:
        return Store.open(cache_dir)
    except UnsafeError as error:
        tell(f"plans are not kept, and those there are not used: {error}")
        return None


@contextmanager
def _alone(store: Store, key: PlanKey, tell: Tell) -> Iterator[None]:
    """Nobody else builds this plan meanwhile, where the file system has locks."""
    lock = alone(
        store.lock_of(key),
        waiting=lambda owner: tell(f"{owner} is building the plan {key}; waiting for it"),
        died=lambda owner: tell(f"{owner} ended while it was building the plan {key}; going on in its place"),
    )
    with ExitStack() as held:
        try:
            held.enter_context(lock)
        except OSError as error:
            log.info("no lock in %s, so others may build the same plan: %s", store.place, error.strerror)
        yield


def _found_or_built(store: Store, key: PlanKey, build: Callable[[], Built], tell: Tell) -> StoredPlan:
    found = store.find(key)
    if isinstance(found, StoredPlan):
        return found
    if isinstance(found, Refusal):
        tell(f"the plan {key} is not used: {found.reason}; it is built anew")
    built = _built(key, build, tell)
    return built if store.unwritable else _kept(store, built, tell)


def _built(key: PlanKey, build: Callable[[], Built], tell: Tell) -> StoredPlan:
    tell(f"building the plan {key}")
    plan = build()
    manifest = Manifest(
        key=key,
        sha256=hashlib.sha256(plan.data).hexdigest(),
        size=len(plan.data),
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(plan.seconds, 3),
        by=installed("derain") or "",
        details=plan.details,
    )
    return StoredPlan(plan.data, manifest, None)


def _kept(store: Store, plan: StoredPlan, tell: Tell) -> StoredPlan:
    try:
        return store.put(plan.manifest, plan.data)
    except OSError as error:
        tell(f"the plan {plan.manifest.key} is used but not kept: {store.place}: {error.strerror}")
        return plan


def _checked(stored: StoredPlan, check: Callable[[StoredPlan], Parity] | None) -> StoredPlan:
    if check is None or stored.manifest.parity is not None:
        return stored
    return replace(stored, manifest=replace(stored.manifest, parity=check(stored)))


def _noted(store: Store, stored: StoredPlan, tell: Tell) -> StoredPlan:
    """Keeps the parity with the plan."""
    if stored.path is not None:
        try:
            store.note(stored.manifest)
        except OSError as error:
            tell(f"what was measured of the plan is not kept: {store.place}: {error.strerror}")
    return stored
