"""The table of what was tried."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from derain.benchmarks.family.scores import Score
from derain.benchmarks.family.speed import Speed
from derain.benchmarks.lineage.report import done
from derain.benchmarks.lineage.training import Record
from derain.train.networks.facts import Cost

HEAD = ("candidate", "size", "parameters", "kMAC/pixel", "radius", "ms fp32", "x", "ms INT8", "x")
"""x: the milliseconds before it, divided by the reference's."""


@dataclass(frozen=True)
class Row:
    """One candidate; `words`: its size. `record` and `scores`, by set, once it is trained."""

    name: str
    words: str
    cost: Cost
    radius: int
    speed: Speed
    reference: Speed
    record: Record | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)

    @property
    def ratios(self) -> tuple[float, float]:
        """To the reference, in fp32 and in INT8."""
        return self.speed.fp32 / self.reference.fp32, self.speed.int8 / self.reference.int8

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        size = {"parameters": self.cost.parameters, "kmac": self.cost.kmac}
        ratios = dict(zip(("fp32", "int8"), self.ratios, strict=True))
        return {**asdict(self), "cost": size, "ratios": ratios}


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table; columns of training only where any was trained."""
    sets = set_columns(rows)
    trained = ["steps"] if any(row.record for row in rows) else []
    head = [*HEAD, *trained, *(told for told, _, _ in sets)]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for row in rows:
        steps = [done(row.record) if row.record else ""] * len(trained)
        lines.append([*cells(row), *steps, *(cell(row, title, of) for _, title, of in sets)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row) -> tuple[str, ...]:
    fp32, int8 = row.ratios
    return (
        row.name,
        row.words,
        f"{row.cost.parameters:,}",
        f"{row.cost.kmac:.1f}",
        str(row.radius),
        f"{row.speed.fp32:.1f}",
        f"{fp32:.2f}",
        f"{row.speed.int8:.1f}",
        f"{int8:.2f}",
    )


def set_columns(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(head of the column, title of the set, which of its figures) for all that any row has."""
    titles = list(dict.fromkeys(title for row in rows for title in row.scores))
    kinds = {"gain": "{} dB", "exact": "{} exact"}
    return [
        (head.format(title), title, of)
        for title in titles
        for of, head in kinds.items()
        if any(title in row.scores and getattr(row.scores[title], of) is not None for row in rows)
    ]


def cell(row: Row, title: str, of: str) -> str:
    """A figure of a set: dB with their sign, shares in percent."""
    score = row.scores.get(title)
    value = None if score is None else getattr(score, of)
    if value is None:
        return ""
    return f"{value:+.2f}" if of == "gain" else f"{value:.1%}"
