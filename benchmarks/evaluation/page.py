"""The report as one HTML page that needs nothing else: tables, and pictures as data: addresses."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from string import Template

import cv2

from derain.benchmarks.evaluation.page_table import PLACES, TITLES, Line, cell, number, pictures_table
from derain.benchmarks.evaluation.shelf import ERROR_LEVELS, Sample
from derain.benchmarks.evaluation.summary import COLUMNS, Row, as_rainy, models_of, seeds_of
from derain.engines.errors import DerainError
from derain.train.evaluate import RGB

QUALITY = 80
"""Of the pictures' WebP."""


def page(rows: Sequence[Row], shelves: Sequence[Sequence[Sample]]) -> str:
    """The whole page. `rows`: a summary for each set; `shelves`: the samples of each."""
    style, script = asset("page.css"), asset("page.js")
    labels = [model["model"] for model in models_of(rows[0])]
    lines = [
        Line(row["title"], picture, card_id(n, case), case in {sample.case for sample in shelves[n]})
        for n, row in enumerate(rows)
        for case, picture in enumerate(row["pictures"])
    ]
    return Template(asset("page.html")).substitute(
        style=style,
        style_print=fingerprint(style),
        script=script,
        script_print=fingerprint(script),
        names=escape(", ".join(labels)),
        first=escape(labels[0]),
        levels=ERROR_LEVELS,
        sets="".join(sets_table(rows)),
        pictures="".join(pictures_table(lines, labels)),
        cards="".join(cards(rows, shelves)),
    )


def asset(name: str) -> str:
    """A file that lies beside this module, as text."""
    return resources.files("derain.benchmarks.evaluation").joinpath(name).read_text(encoding="utf-8")


def fingerprint(text: str) -> str:
    """What a content security policy calls an inline style or script: a browser runs no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def sets_table(rows: Sequence[Row]) -> Iterator[str]:
    """Means: a line for the rainy pictures of each set, one for each model, two where there are seeds."""
    flicker = any(row["clips"] for row in rows)
    heads = "".join(f'<th scope="col">{name}</th>' for name in (TITLES if flicker else TITLES[:-1]))
    yield (
        '<table><thead><tr><th scope="col" class="text">set</th><th scope="col" class="text">model</th>'
        f'<th scope="col">pairs</th>{heads}<th scope="col">clean kept</th>'
        '<th scope="col" class="text">worst of them</th></tr></thead><tbody>\n'
    )
    for row in rows:
        yield set_line(row, "rainy", as_rainy(row), None, flicker)
        for model in models_of(row):
            label = f"{model['model']} ({model['backend']} {model['precision']})"
            yield set_line(row, label, model, model["no_harm"], flicker)
        for line in seeds_of(row):
            yield set_line(row, line["model"], line, line.get("no_harm"), flicker)
    yield "</tbody></table>"


def set_line(row: Row, who: str, figures: Row, harm: Row | None, flicker: bool) -> str:
    """One line of means; `harm`: what was done to clean pictures."""
    kept, worst = ("", "")
    if harm is not None:
        kept = f"{number(harm['psnr_y'], 2)} dB of {harm['pictures']}"
        worst = f"{harm['worst']} ({number(harm['worst_psnr_y'], 2)} dB)"
    cells = "".join(
        cell(float("nan") if who == "rainy" and name == "gain_y" else value(figures), places)
        for (name, value), places in zip(COLUMNS, PLACES, strict=True)
        if flicker or name != "flicker"
    )
    return (
        f'<tr><th scope="row">{escape(row["title"])}</th><td class="text">{escape(who)}</td>'
        f'<td>{row["pairs"]}</td>{cells}<td>{kept}</td><td class="text">{escape(worst)}</td></tr>\n'
    )


def card_id(number: int, case: int) -> str:
    """The address of a case's thumbnails in the page."""
    return f"s{number}-{case}"


def cards(rows: Sequence[Row], shelves: Sequence[Sequence[Sample]]) -> Iterator[str]:
    """The thumbnails, least gain first."""
    listed = [(n, row, sample) for n, row in enumerate(rows) for sample in shelves[n]]
    for n, row, sample in sorted(listed, key=lambda item: item[2].result.gain()):
        yield card(row, row["pictures"][sample.case], sample, card_id(n, sample.case))


def card(row: Row, picture: Row, sample: Sample, name: str) -> str:
    """Rainy, what each model made of it, clean, and the errors."""
    at = f" at {sample.at}" if sample.at else ""
    note = f'<p class="faint">{escape(picture["note"])}</p>' if picture["note"] else ""
    restored, errors = [], []
    for model, own, thumb, error in zip(
        models_of(row), models_of(picture), sample.restored, sample.errors, strict=True
    ):
        psnr, gain = number(own["restored"]["psnr_y"], 2), number(own["gain_y"], 2)
        restored.append(figure(thumb, f"{model['model']}, {psnr} dB, gain {gain}"))
        errors.append(figure(error, f"error of {model['model']}"))
    rainy = figure(sample.rainy, f"rainy, {number(picture['rainy']['psnr_y'], 2)} dB")
    strip = "".join([rainy, *restored, figure(sample.clean, "clean"), *errors])
    return (
        f'<li id="{name}" tabindex="-1"><h3>{escape(picture["name"])}{escape(at)} '
        f'<span class="faint">{escape(row["title"])}</span></h3>{note}<div class="strip">{strip}</div></li>\n'
    )


def figure(picture: RGB, caption: str) -> str:
    """A picture with what it is below it."""
    done, coded = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise DerainError("OpenCV can't encode WebP pictures, which the HTML page needs")
    height, width = picture.shape[:2]
    data = base64.b64encode(coded.tobytes()).decode()
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" width="{width}" height="{height}" loading="lazy" '
        f'src="data:image/webp;base64,{data}"><figcaption>{text}</figcaption></figure>'
    )
