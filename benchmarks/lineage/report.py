"""What the comparison says: a table, which claims of the papers hold, a sheet of pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from derain.benchmarks.evaluation.shelf import boxed
from derain.benchmarks.lineage.scores import SETS, Score
from derain.benchmarks.lineage.systems import CLAIMS
from derain.benchmarks.lineage.training import Record
from derain.train.evaluate import RGB
from derain.train.networks.facts import Cost

BAR = 16
"""Pixels of the line of labels above a sheet."""


@dataclass(frozen=True)
class Row:
    """One line of the table; None for what there is none of. `ms` a frame; `record`: of its training."""

    name: str
    paper: str
    scores: Mapping[str, Score]
    cost: Cost | None = None
    ms: float | None = None
    record: Record | None = None

    @property
    def mean(self) -> Score:
        """Over the sets."""
        psnr, ssim = (float(np.mean(values)) for values in zip(*map(pair, self.scores.values()), strict=True))
        return Score(psnr, ssim)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        size = None if self.cost is None else {"parameters": self.cost.parameters, "kmac": self.cost.kmac}
        return {**asdict(self), "mean": asdict(self.mean), "cost": size}


def pair(score: Score) -> tuple[float, float]:
    return score.psnr_y, score.ssim_y


HEAD = ("system", "paper", "parameters", "kMAC/pixel", "steps", "minutes", *SETS, "mean", "ms/frame")


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table: PSNR-Y in dB and SSIM-Y of each set."""
    lines = [HEAD, ("---", "---", *["---:"] * (len(HEAD) - 2)), *(cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row) -> tuple[str, ...]:
    scores = [row.scores[name] for name in SETS] + [row.mean]
    return (
        row.name,
        row.paper,
        *(("", "") if row.cost is None else (f"{row.cost.parameters:,}", f"{row.cost.kmac:.1f}")),
        "" if row.record is None else done(row.record),
        "" if row.record is None else f"{row.record.seconds / 60:.1f}",
        *(f"{score.psnr_y:.2f} / {score.ssim_y:.4f}" for score in scores),
        "" if row.ms is None else f"{row.ms:.1f}",
    )


def done(record: Record) -> str:
    """The steps, and of how many where the time was over before."""
    short = record.steps < record.planned
    return f"{record.steps:,} of {record.planned:,}" if short else f"{record.steps:,}"


def orderings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each claim of the papers whose two systems were measured: both PSNR-Y, and whether it holds."""
    by_name = {row.name: row for row in rows}
    found = []
    for claim in CLAIMS:
        for better, worse in claim.pairs():
            if better not in by_name or worse not in by_name:
                continue
            high, low = (by_name[name].scores[claim.on].psnr_y for name in (better, worse))
            found.append(
                {"paper": claim.paper, "set": claim.on, "better": better, "worse": worse}
                | {"better_psnr_y": high, "worse_psnr_y": low, "holds": high > low}
            )
    return found


def sentence(ordering: Mapping[str, Any]) -> str:
    """One ordering as a line."""
    verdict = "holds" if ordering["holds"] else "does not hold at this budget"
    return (
        f"- {ordering['paper']}, {ordering['set']}: {ordering['better']} {ordering['better_psnr_y']:.2f} dB, "
        f"{ordering['worse']} {ordering['worse_psnr_y']:.2f} dB: {verdict}"
    )


def sheet(labels: Sequence[str], strips: Sequence[Sequence[RGB]]) -> RGB:
    """The strips below each other, a label above each column."""
    rows = []
    for strip in strips:
        height = max(picture.shape[0] for picture in strip)
        rows.append(np.hstack([boxed(np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0)))) for p in strip]))
    bar = np.zeros((BAR, rows[0].shape[1], 3), np.uint8)
    column = rows[0].shape[1] // len(labels)
    for index, label in enumerate(labels):
        at = (index * column + 4, BAR - 4)
        cv2.putText(bar, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, *rows])
