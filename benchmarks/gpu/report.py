"""What was found as Markdown: a table a section, and beside it what was hoped for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from derain.benchmarks.gpu.apart import Found, Section
from derain.benchmarks.gpu.plan import Row

ROOM = "derain.benchmarks.gpu"
SECTIONS = (
    Section("inventory", "The machine", f"{ROOM}.inventory", 25),
    Section("conformance", "Our own tests on the driver", f"{ROOM}.conformance", 90),
    Section("parity", "Against fp32 on the CPU", f"{ROOM}.parity", 60),
    Section("speed", "The networks alone", f"{ROOM}.speed", 110),
    Section("end to end", "From decoding to the end", f"{ROOM}.whole", 70),
    Section("streams", "Streams of 30 frames a second at a time", f"{ROOM}.streams", 35),
    Section("limits", "Against bus and memory", f"{ROOM}.limits", 15),
    Section("eigen", "Eigen 2013", f"{ROOM}.eigen", 20),
    Section("peers", "PReNet beside ours", f"{ROOM}.peers", 25),
)
"""In their order; shares of 450 seconds."""
WHOLE = 450.0


@dataclass(frozen=True)
class Target:
    """What is hoped for of a card of the class of an H200. `best`: of a section's rows, None without one."""

    what: str
    section: str
    wanted: str
    best: Callable[[Sequence[Row]], float | None]


def highest(column: str, **asked: object) -> Callable[[Sequence[Row]], float | None]:
    """The highest figure of `column` in the rows in which the others are as asked."""

    def best(rows: Sequence[Row]) -> float | None:
        fit = [row for row in rows if all(row.get(name) == value for name, value in asked.items())]
        return max((row[column] for row in fit if column in row), default=None)

    return best


def most_streams(rows: Sequence[Row]) -> float | None:
    """The most of which no frame was dropped."""
    return max((row["streams"] for row in rows if not row["dropped"]), default=None)


TARGETS = (
    Target("4K, the network alone, frames a second", "speed", "240", highest("fps", size="4K")),
    Target("1080p, decoded and restored", "end to end", "120", highest("fps", size="1080p", to="null")),
    Target("streams of 1080p at 30 a second", "streams", "16", most_streams),
    Target("Eigen at 3888x2592, seconds", "eigen", "0.15", highest("seconds", size="3888x2592")),
)


def markdown(found: Mapping[str, Found], head: str) -> str:
    """All sections that there are, after `head`."""
    parts = [head, "## What was hoped for", table(targets(found))]
    for section in SECTIONS:
        if (result := found.get(section.name)) is not None:
            parts += [f"## {section.title}", table(result.rows)]
            parts += [f"It ended before its end: {result.ended}"] if result.ended else []
    return "\n\n".join(part for part in parts if part) + "\n"


def targets(found: Mapping[str, Found]) -> list[Row]:
    """A row each; "not measured" where no row tells."""
    rows = []
    for target in TARGETS:
        result = found.get(target.section)
        best = target.best(result.rows) if result else None
        rows.append(
            {"what": target.what, "wanted": target.wanted, "here": "not measured" if best is None else best}
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """A column for each name that any row has, in the order in which they first come."""
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([cell(row.get(name)) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """Text that breaks no table."""
    return "" if value is None else " ".join(str(value).replace("|", "/").split())
