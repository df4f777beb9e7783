"""What builders and runtimes leave for the next time (timings, compiled kernels), kept beside the plans.

It is code as plans are, or decides what code is made: so it is read from the same folder, with its sha256.
"""

import hashlib
import logging
from pathlib import Path

from derain.engines.plans import folder
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.key import Target
from derain.engines.plans.store import KERNELS, TIMINGS, Store, StoredPlan

_HASH = hashlib.sha256().digest_size

log = logging.getLogger(__name__)


def kernels_of(stored: StoredPlan) -> Path | None:
    """Where the kernels are kept that a runtime compiled for that plan; None where the plan is not kept."""
    return None if stored.path is None else stored.path.with_suffix(KERNELS)


def timings_of(store: Store, backend: str, version: str, target: Target) -> Path:
    """Where is kept what kernels were measured with on that device."""
    facts = "\0".join([backend, version, target.device, target.driver, target.system])
    return store.place / (hashlib.sha256(facts.encode()).hexdigest() + TIMINGS)


def kept(path: Path | None) -> bytes:
    """What was kept there; b"" where there is nothing, or it is not what was kept."""
    if path is None:
        return b""
    try:
        content = folder.read(path)
    except FileNotFoundError:
        return b""
    except UnsafeError as error:
        log.warning("not used: %s", error)
        return b""
    data = content[_HASH:]
    if hashlib.sha256(data).digest() != content[:_HASH]:
        log.warning("not used: %s is truncated or was changed; it is made again", path)
        return b""
    return data


def keep(path: Path | None, data: bytes) -> None:
    """Keeps it there for the next time; where it can't be, the log says so and nothing else happens."""
    if path is None or not data:
        return
    try:
        folder.write(path, hashlib.sha256(data).digest() + data)
    except OSError as error:
        log.info("%s is not kept: %s", path, error.strerror)
