"""The page's table of all pictures: a group of columns for the rainy ones and for each model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

import numpy as np

from derain.benchmarks.evaluation.summary import COLUMNS, Row, as_rainy, models_of

TITLES = ("PSNR Y", "SSIM Y", "PSNR RGB", "SSIM RGB", "gain Y", "in rain", "rain-free", "flicker")
PLACES = (2, 4, 2, 4, 2, 2, 2, 3)
"""Of COLUMNS: how they are called and rounded."""
FIRST_ORDER = "m0.gain_y"
"""The column that the table is sorted by before anybody asks for another: the least gain first."""


@dataclass(frozen=True)
class Column:
    """`value`: of a picture's row; nan for none. `full`: the title that is understood alone."""

    key: str
    group: str
    text: str
    places: int
    value: Callable[[Row], float]

    @property
    def full(self) -> str:
        return f"{self.text} of {self.group}" if self.group else self.text


@dataclass(frozen=True)
class Line:
    """A picture of a set. `card`: the address of its thumbnails, `shown` where there are any."""

    title: str
    picture: Row
    card: str
    shown: bool


def columns(labels: Sequence[str]) -> Iterator[Column]:
    """All there can be: of the picture, of the rainy one, of each model."""
    yield Column("frames", "", "frames", 0, lambda picture: picture["frames"])
    yield Column("rain", "", "rain %", 1, lambda picture: 100 * picture["rain_share"])
    for owner, label in enumerate(["rainy", *labels]):
        key = f"m{owner - 1}" if owner else "rainy"
        for (name, value), text, places in zip(COLUMNS, TITLES, PLACES, strict=True):
            if owner or name != "gain_y":
                yield Column(f"{key}.{name}", label, text, places, of_owner(owner, value))


def of_owner(owner: int, value: Callable[[Row], float]) -> Callable[[Row], float]:
    """A figure of the rainy picture, 0, or of the model of that number, from 1 on."""
    return lambda picture: value(models_of(picture)[owner - 1] if owner else as_rainy(picture))


def wanted(column: Column, lines: Sequence[Line]) -> bool:
    """Whether any picture has a figure there; frames only where there are clips."""
    found = [column.value(line.picture) for line in lines]
    return any(n > 1 for n in found) if column.key == "frames" else not all(map(np.isnan, found))


def pictures_table(lines: Sequence[Line], labels: Sequence[str]) -> Iterator[str]:
    """The table's HTML, line by line."""
    kept = [column for column in columns(labels) if wanted(column, lines)]
    several = len({line.title for line in lines}) > 1
    texts = [("name", "picture"), ("set", "set")][: 1 + several]
    yield '<table id="pictures"><thead><tr>'
    for group, members in groupby(kept, key=lambda column: column.group):
        count = len(list(members))
        if group:
            yield f'<th class="group" scope="colgroup" colspan="{count}">{escape(group)}</th>'
        else:
            yield f'<td colspan="{len(texts) + count}"></td>'
    yield "</tr><tr>"
    yield from (head(key, text, text, "text") for key, text in texts)
    for before, column in zip([None, *kept], kept, strict=False):
        yield head(column.key, column.text, column.full, first(before, column))
    yield "</tr></thead><tbody>\n"
    for line in sorted(lines, key=lambda line: line.picture["gain_y"]):
        yield picture_line(line, kept, several)
    yield "</tbody></table>"


def first(before: Column | None, column: Column) -> str:
    """The class of a column that begins a group."""
    return "first" if column.group and (before is None or before.group != column.group) else ""


def head(key: str, text: str, full: str, kind: str) -> str:
    """A column's head: a button that sorts."""
    way = "ascending" if key == FIRST_ORDER else "none"
    return (
        f'<th scope="col" class="{kind}" data-key="{key}" data-title="{escape(full)}" aria-sort="{way}">'
        f'<button type="button" aria-label="Sort by {escape(full)}">{escape(text)}</button></th>'
    )


def picture_line(line: Line, kept: Sequence[Column], several: bool) -> str:
    """One picture's figures; its name leads to its thumbnails where there are any."""
    name = escape(line.picture["name"])
    link = f'<a href="#{line.card}">{name}</a>' if line.shown else name
    owner = f'<td class="text">{escape(line.title)}</td>' if several else ""
    cells = [
        cell(column.value(line.picture), column.places, first(before, column))
        for before, column in zip([None, *kept], kept, strict=False)
    ]
    return f'<tr data-card="{line.card}"><th scope="row">{link}</th>{owner}{"".join(cells)}</tr>\n'


def cell(value: float, places: int, kind: str = "") -> str:
    """A figure in the table, with all its places for sorting."""
    exact = "" if np.isnan(value) else repr(float(value)).replace("inf", "Infinity")
    return f'<td class="{kind}" data-value="{exact}">{number(value, places)}</td>'


def number(value: float, places: int) -> str:
    """Rounded; infinity as its sign, nothing for nan."""
    if np.isnan(value):
        return ""
    return f"{value:.{places}f}" if np.isfinite(value) else ("∞" if value > 0 else "-∞")
