"""curves.png: a run at one look."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from derain.train.record.curves import Row

Points: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Steps and values of a curve."""
Curves: TypeAlias = dict[str, Points]

HEIGHT = 2.5
"""Inches of a panel."""
MOST = 500
"""Points a curve is drawn with; of more, neighbours are averaged."""
NOT_LOSSES = {
    "psnr", "gain_db", "validation_psnr", "validation_input", "d_accuracy", "spread", "d_won", "alike",
    "rate",
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One set of axes: its `unit`, what it draws of all curves, by their labels, and whether the axis is
    logarithmic where all is positive."""

    unit: str
    draws: Callable[[Curves], Curves]
    log: bool = False
    zero: bool = False


def losses(curves: Curves) -> Curves:
    """The network's loss and its terms; beside a discriminator's they are the generator's."""
    game = "d_loss" in curves
    names = {"loss": "generator" if game else "loss", "d_loss": "discriminator"}
    return {names.get(name, name): line for name, line in curves.items() if name not in NOT_LOSSES}


def psnr(curves: Curves) -> Curves:
    """PSNR of training patches and of validation, each beside that of the rainy pictures."""
    found: Curves = {}
    if "psnr" in curves:
        steps, restored = found["restored"] = curves["psnr"]
        _, gain = curves.get("gain_db", ((), ()))
        # A damaged file may lack lines of one of them.
        if len(gain) == len(restored):
            found["rainy"] = steps, restored - gain
    if "validation_psnr" in curves:
        found["validation, restored"] = steps, _ = curves["validation_psnr"]
        if "validation_input" in curves:
            value = curves["validation_input"][1][-1]
            found["validation, rainy"] = steps, np.full(len(steps), value)
    return found


def game(curves: Curves) -> Curves:
    """Who is winning: D's accuracy, and how much restored pictures differ."""
    names = {"d_accuracy": "discriminator's accuracy", "spread": "spread of restored beside clean"}
    return {label: curves[name] for name, label in names.items() if name in curves}


def rate(curves: Curves) -> Curves:
    return {"rate": curves["rate"]} if "rate" in curves else {}


PANELS = (
    Panel("loss", losses, log=True),
    Panel("PSNR, dB", psnr),
    Panel("share, 0 to 1", game, zero=True),
    Panel("learning rate", rate, zero=True),
)


def chart(rows: Sequence[Row], title: str) -> bytes:
    """The curves of a run as PNG: the same bytes for the same rows."""
    curves = by_name(rows)
    drawn = [(panel, lines) for panel in PANELS if (lines := panel.draws(curves))]
    height = 1 + HEIGHT * max(len(drawn), 1)
    figure = Figure(figsize=(9, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, y=1 - 0.25 / height)
    if drawn:
        axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
        figure.subplots_adjust(
            left=0.12, right=0.73, top=1 - 0.45 / height, bottom=0.55 / height, hspace=0.08
        )
        for ax, (panel, lines) in zip(axes, drawn, strict=True):
            draw(ax, panel, lines)
        axes[-1].set_xlabel("step")
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def by_name(rows: Sequence[Row]) -> Curves:
    """The finite values of each curve, in the order the curves first come."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step, name, value in rows:
        if np.isfinite(value):
            found.setdefault(name, []).append((step, value))
    return {name: thinned(np.array(points, np.float64)) for name, points in found.items()}


def thinned(points: npt.NDArray[np.float64]) -> Points:
    """At most MOST points (n, 2), each the mean of neighbours."""
    groups = np.array_split(points, min(len(points), MOST))
    means = np.array([group.mean(axis=0) for group in groups])
    return means[:, 0], means[:, 1]


def draw(ax: Axes, panel: Panel, lines: Curves) -> None:
    """One panel: a line a curve, dots where it has few points."""
    for label, (steps, values) in lines.items():
        dots = "o" if len(steps) < 30 else ""
        dashed = "--" if label.endswith("rainy") else "-"
        ax.plot(steps, values, linestyle=dashed, marker=dots, markersize=3, linewidth=1.3, label=label)
    if panel.log and all((values > 0).all() for _, values in lines.values()):
        ax.set_yscale("log", subs=())
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    if panel.zero:
        ax.set_ylim(bottom=0, top=1.05 * max(values.max() for _, values in lines.values()) or 1)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylabel(panel.unit)
    ax.yaxis.set_label_coords(-0.12, 0.5)
    ax.grid(visible=True, color="0.88", linewidth=0.6)
    if len(lines) > 1:
        ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
