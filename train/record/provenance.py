"""What the figures of a run come from: hashes of its data, and the machine and versions of each start."""

import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import torch

from derain.engines.errors import DerainError
from derain.engines.machine import cpu_name, installed
from derain.train.commit import commit
from derain.train.record.files import write_whole
from derain.train.steps import Plan

log = logging.getLogger(__name__)

PACKAGES = ("derain", "torch", "numpy", "opencv-python", "onnx", "onnxruntime", "scikit-image")
DATA = "data.json"
ENVIRONMENT = "environment.json"


def sha256_of(path: Path) -> str:
    """The sha256 (hex) of a file; DerainError where it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DerainError(f"{path} can't be read: {(error.strerror or str(error)).lower()}") from error


def hashes(files: Iterable[Path], data: Path) -> dict[str, str]:
    """The sha256 of each file by its name in the data folder. Of a file that is not in there only its
    folder's name is told, after "outside"."""
    paths = sorted(set(files))
    found: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        for path, digest in zip(paths, pool.map(sha256_of, paths), strict=True):
            found[unused(name_in(path, data), found)] = digest
    return found


def name_in(path: Path, data: Path) -> str:
    """The file's name from the data folder on."""
    inside, root = (Path(os.path.abspath(one)) for one in (path, data))  # noqa: PTH100 - links stay links
    if inside.is_relative_to(root):
        return inside.relative_to(root).as_posix()
    return f"outside/{inside.parent.name}/{inside.name}"


def unused(name: str, taken: dict[str, str]) -> str:
    """The name, numbered where two folders outside are called alike."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name} ({number})"
    return free


def keep_hashes(folder: Path, found: dict[str, str], goes_on: bool) -> None:
    """Writes data.json; a run that goes on tells where its data is not what it began with."""
    if goes_on and (before := read_json(folder / DATA, dict)) is not None:
        changed = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
        if changed:
            log.warning(
                "the data is not what this run began with: %d files were added, removed or changed, such as "
                "%s; the run goes on, but is not what it would have been", len(changed), changed[0],
            )  # fmt: skip
    write_json(folder / DATA, found)


def environment(plan: Plan, step: int) -> dict[str, Any]:
    """What the figures of a run may depend on beside its recipe, at a start from `step`."""
    return {
        "from_step": step,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": commit(),
        "seed": plan.recipe.seed,
        "processes": plan.share.size,
        "device": device_name(plan.device),
        "threads": {
            "torch": torch.get_num_threads(),
            "torch_interop": torch.get_num_interop_threads(),
            "opencv": cv2.getNumThreads(),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        },
        "python": platform.python_version(),
        "system": platform.platform(),
        "cuda": torch.version.cuda if plan.device == "cuda" else None,
        "packages": {name: installed(name) for name in PACKAGES},
    }


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else cpu_name()


def earlier_starts(folder: Path, step: int) -> list[dict[str, Any]]:
    """What environment.json tells of the starts of a run that goes on from `step`; none of a new one."""
    starts = read_json(folder / ENVIRONMENT, list) if step else None
    return [one for one in starts or () if isinstance(one, dict)]


def read_json(path: Path, kind: type) -> Any:
    """The content of a file of ours; None where there is none, and, with a warning, where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, kind):
        log.warning("%s can't be read and is made anew", path)
        return None
    return content


def write_json(path: Path, content: object) -> None:
    write_whole(path, json.dumps(content, indent=1) + "\n")
