"""A section in a process of its own: one that crashes or hangs costs the others nothing."""

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from derain.benchmarks.gpu.plan import Plan, Row
from derain.engines.errors import DerainError

Measure: TypeAlias = Callable[[Plan], Iterator[Row]]
GRACE = 5.0
"""Seconds to end in, once told to."""


@dataclass(frozen=True)
class Section:
    """`module`: its `rows(plan)` measures. `share`: of the time for all, in seconds of 450."""

    name: str
    title: str
    module: str
    share: float


@dataclass(frozen=True)
class Found:
    """What came of a section: rows, and how it ended before it was done ("" where it did not)."""

    rows: list[Row]
    seconds: float
    ended: str = ""


def measured(section: Section, plan: Plan, limit: float) -> Found:
    """The section's rows, those too that were there when it ran into `limit` seconds or crashed."""
    began = time.perf_counter()
    with TemporaryDirectory(prefix="derain-gpu-") as folder:
        rows, end = Path(folder) / "rows.jsonl", Path(folder) / "ended"
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=work, args=(section.module, plan, rows, end), daemon=False)
        child.start()
        child.join(limit)
        ended = _stopped(child, limit)
        if end.exists():
            ended = end.read_text(encoding="utf-8")
        return Found(_read(rows), round(time.perf_counter() - began, 1), ended)


def _stopped(child: multiprocessing.process.BaseProcess, limit: float) -> str:
    """Ends what still runs; says why there is no more of it."""
    if not child.is_alive():
        return f"it crashed (exit code {child.exitcode})" if child.exitcode else ""
    child.terminate()
    child.join(GRACE)
    if child.is_alive():
        child.kill()
        child.join()
    return f"it was ended after {limit:.0f} s"


def work(module: str, plan: Plan, rows: Path, end: Path) -> None:
    """In the child: each row is on the disk before the next is measured, and a failure in words."""
    measure: Measure = import_module(module).rows
    with rows.open("a", encoding="utf-8") as file:
        try:
            for row in measure(plan):
                file.write(json.dumps(row) + "\n")
                file.flush()
        except (DerainError, ImportError, OSError, RuntimeError) as error:
            end.write_text(f"{type(error).__name__}: {error}", encoding="utf-8")


def _read(path: Path) -> list[Row]:
    """The whole lines of a file that may have been left in the midst of one."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]
