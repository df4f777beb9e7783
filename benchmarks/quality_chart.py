"""Quality against time as a picture: a panel for each set, every method by its name."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, hypot, log10, pi, sin
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from matplotlib.transforms import IdentityTransform

Kind: TypeAlias = Literal["ours", "model", "peer", "filter"]

Place: TypeAlias = tuple[float, float]
"""x and y in pixels."""
Box: TypeAlias = npt.NDArray[np.float64]
"""x0, y0, x1, y1 in pixels."""
Boxes: TypeAlias = npt.NDArray[np.float64]
"""Several, in rows."""

WIDTH, HEIGHT = 1100, 560
"""Pixels of the picture, the height for each panel."""
DPI = 100
TOP, BOTTOM, LEFT, RIGHT = 64, 56, 90, 30
"""Pixels around the axes of a panel."""
SIDE = 130
"""Pixels left and right of the outermost points, for labels."""
STYLES: dict[Kind, tuple[str, str, float, str]] = {
    "ours": ("*", "#c2185b", 16, "shipped with derain"),
    "model": ("D", "#1565c0", 7, "other model files"),
    "peer": ("o", "#37474f", 7, "published weights, in torch"),
    "filter": ("s", "#8d6e63", 7, "filters"),
}
"""By kind: marker, colour, size, and what the legend says."""
NEAREST = 9.0
"""Pixels from a point to its label; one that must stand further off gets a line."""


@dataclass(frozen=True)
class Point:
    """A method: `ms` a frame, PSNR on Y in dB."""

    name: str
    kind: Kind
    ms: float
    psnr: float


@dataclass(frozen=True)
class Panel:
    """A set; `rainy`: PSNR on Y in dB of its input. What is not finite is not drawn."""

    title: str
    rainy: float
    points: tuple[Point, ...]


def chart(panels: Sequence[Panel], title: str, unit: str) -> bytes:
    """The panels below each other as PNG of WIDTH x HEIGHT * panels; `unit`: what the time is of."""
    out = io.BytesIO()
    drawn(panels, title, unit).savefig(out, format="png", dpi=DPI)
    return out.getvalue()


def drawn(panels: Sequence[Panel], title: str, unit: str) -> Figure:
    """The figure of `chart`, its labels placed."""
    height = HEIGHT * len(panels)
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(LEFT / WIDTH, 1 - 12 / height, title, va="top", parse_math=False)
    for index, panel in enumerate(panels):
        bottom = height - HEIGHT * (index + 1) + BOTTOM
        size = (WIDTH - LEFT - RIGHT) / WIDTH, (HEIGHT - TOP - BOTTOM) / height
        draw(figure.add_axes((LEFT / WIDTH, bottom / height, *size)), panel, unit)
    kinds = {point.kind for panel in panels for point in panel.points}
    figure.legend(
        handles=[
            Line2D([], [], linestyle="", marker=marker, color=colour, markersize=size * 0.8, label=label)
            for kind, (marker, colour, size, label) in STYLES.items()
            if kind in kinds
        ],
        loc="upper right",
        bbox_to_anchor=(1 - RIGHT / WIDTH, 1 - 34 / height),
        borderaxespad=0,
        frameon=False,
        ncols=len(STYLES),
        fontsize="small",
        handletextpad=0.1,
    )
    return figure


def draw(ax: Axes, panel: Panel, unit: str) -> None:
    """One panel: points, the input's line, labels."""
    points = [point for point in panel.points if np.isfinite(point.psnr)]
    for point in points:
        marker, colour, size, _ = STYLES[point.kind]
        ax.plot(point.ms, point.psnr, marker=marker, color=colour, markersize=size, linestyle="")
    ax.set_title(panel.title, loc="left", fontsize="medium", fontweight="bold", parse_math=False)
    ax.set_xscale("log", subs=())
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.set_xlabel(f"ms for {unit}, logarithmic")
    ax.set_ylabel("PSNR on Y, dB")
    ax.yaxis.set_label_coords(-0.06, 0.5)
    ax.set_axisbelow(True)
    ax.grid(visible=True, color="0.9", linewidth=0.6)
    limit(ax, panel, points)
    label(ax, points, rainy_line(ax, panel.rainy) if np.isfinite(panel.rainy) else [])


def limit(ax: Axes, panel: Panel, points: Sequence[Point]) -> None:
    """Axes with room for labels around the outermost points."""
    if points:
        low, high = (log10(extreme(p.ms for p in points)) for extreme in (min, max))
        room = SIDE * max(high - low, 1) / (WIDTH - LEFT - RIGHT - 2 * SIDE)
        ax.set_xlim(10 ** (low - room), 10 ** (high + room))
    levels = [level for level in (panel.rainy, *(p.psnr for p in points)) if np.isfinite(level)]
    if levels:
        space = max(0.5, 0.1 * (max(levels) - min(levels)))
        ax.set_ylim(min(levels) - space, max(levels) + space)


def rainy_line(ax: Axes, level: float) -> list[Box]:
    """A line at the input's level; gives the pixels of its name and its own."""
    ax.axhline(level, color="0.45", linestyle="--", linewidth=1, zorder=1)
    x, y = ax.bbox.x0, ax.transData.transform((1, level))[1]
    text = ax.text(x + 6, y + 3, "rainy input", transform=IdentityTransform(), color="0.45", fontsize="small")
    return [np.array(text.get_window_extent().extents), np.array((x, y - 2, ax.bbox.x1, y + 2))]


def label(ax: Axes, points: Sequence[Point], lines: list[Box]) -> None:
    """Names beside the points, as near as they find room, and on none of the `lines`."""
    markers = [marker_box(ax, point) for point in points]
    names: list[Box] = []
    for point, own in zip(points, markers, strict=True):
        text = ax.text(
            0, 0, point.name, transform=IdentityTransform(), ha="center", va="center", fontsize="small",
            color=STYLES[point.kind][1], fontweight="bold" if point.kind == "ours" else "normal",
            parse_math=False,
        )  # fmt: skip
        extent = text.get_window_extent()
        solid = np.array([*names, *(m for m in markers if not touches(own, m[np.newaxis]))]).reshape(-1, 4)
        taken = np.array([*names, *markers, *lines])
        box = free((extent.width, extent.height), middle(own), np.array(ax.bbox.extents), solid, taken)
        text.set_position(middle(box))
        names.append(box)
        way = along(middle(own), box)
        if hypot(*(way[-1] - way[0])) > 2 * NEAREST:
            ax.add_line(Line2D(*way.T, transform=IdentityTransform(), color="0.6", linewidth=0.7, zorder=1))
            lines = [*lines, *np.hstack((way - 1, way + 1))]


def marker_box(ax: Axes, point: Point) -> Box:
    """The pixels that a point's marker takes."""
    half = STYLES[point.kind][2] * DPI / 144
    x, y = ax.transData.transform((point.ms, point.psnr))
    return np.array((x - half, y - half, x + half, y + half))


def free(size: tuple[float, float], point: Place, within: Box, solid: Boxes, taken: Boxes) -> Box:
    """A box of the size `within` the axes, the nearest to the point that touches nothing `taken`, and whose
    line to it crosses nothing `solid`; where all is full, one that touches nothing, or the first there is."""
    apart = None
    for box in around(size, point, hypot(*(within[2:] - within[:2]))):
        inside = (box[:2] >= within[:2]).all() and (box[2:] <= within[2:]).all()
        if inside and not touches(box, taken):
            apart = box if apart is None else apart
            if not crosses(along(point, box), solid):
                return box
    return next(around(size, point, 2 * NEAREST)) if apart is None else apart


def touches(box: Box, others: Boxes) -> bool:
    """Whether less than two pixels are between the box and any of the others."""
    return bool(((box[:2] - 2 < others[:, 2:]) & (box[2:] + 2 > others[:, :2])).all(axis=1).any())


def crosses(way: Box, solid: Boxes) -> bool:
    """Whether any of the places (n, 2) is in one of the boxes."""
    places = way[:, np.newaxis]
    return bool(((places >= solid[:, :2]) & (places <= solid[:, 2:])).all(axis=2).any())


def along(point: Place, box: Box) -> Box:
    """Places (n, 2) on the line from the point to the box's nearest pixel, 3 pixels apart at most."""
    near = np.clip(point, box[:2], box[2:])
    return np.linspace(point, near, 2 + int(hypot(*(near - point)) / 3))


def middle(box: Box) -> Place:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def around(size: tuple[float, float], point: Place, furthest: float) -> Iterator[Box]:
    """Boxes of (width, height) in sixteen directions, right of the point first, further and further off."""
    half = np.array(size) / 2
    for gap in np.arange(NEAREST, furthest, 7):
        for turn in (0, 8, 4, 12, 2, 14, 6, 10, 1, 15, 3, 13, 5, 11, 7, 9):
            centre = point + np.array((cos(turn * pi / 8), sin(turn * pi / 8))) * (gap + half)
            yield np.concatenate((centre - half, centre + half))
