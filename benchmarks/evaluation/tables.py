"""The figures of a run as text on the terminal and as CSV."""

import csv
import io
from collections.abc import Sequence

import numpy as np

from derain.benchmarks.evaluation.summary import COLUMNS, Row, as_rainy, models_of, seeds_of

FORMS = ("7.2f", "7.4f", "9.2f", "9.4f", "+7.2f", "8.2f", "9.2f", "8.3f")
CSV_HEADER = ("set", "picture", "kind", "frames", "rain_share", "model", *(name for name, _ in COLUMNS))


def header(labels: Sequence[str]) -> str:
    """The first line, above every set's."""
    return (
        f"{'set':28} {'n':>4} {'':{width(labels)}} {'PSNR Y':>7} {'SSIM Y':>7} {'PSNR RGB':>9} "
        f"{'SSIM RGB':>9} {'gain Y':>7} {'in rain':>8} {'rain-free':>9} {'flicker':>8}"
    )


def width(labels: Sequence[str]) -> int:
    """Of the column that says whose figures they are."""
    return max(len(label) for label in ("rainy", *labels))


def table(row: Row) -> str:
    """The printed lines of a set: the rainy means, each model's, those over seeds, and what all of them do to
    clean pictures."""
    models = models_of(row)
    seeds = seeds_of(row)
    wide = width([model["model"] for model in (*models, *seeds)])
    lines = [line(row["title"], str(row["pairs"]), f"{'rainy':{wide}}", as_rainy(row), gain=False)]
    lines += [line("", "", f"{model['model']:{wide}}", model) for model in (*models, *seeds)]
    lines += [harm(model) for model in (*models, *row["seeds"]) if model.get("no_harm")]
    if row["dry"] and row["dry"] < row["pairs"]:
        lines.append(
            f"    {row['dry']} of them have no rain: they count for clean pictures, not for the means"
        )
    lines += [f"    {picture['name']}: {picture['note']}" for picture in row["pictures"] if picture["note"]]
    return "\n".join(lines)


def line(name: str, count: str, who: str, figures: Row, gain: bool = True) -> str:
    """One line of the table; what there is none of is left blank."""
    cells = []
    for (column, value), form in zip(COLUMNS, FORMS, strict=True):
        hidden = np.isnan(value(figures)) or (column == "gain_y" and not gain)
        cells.append(" " * int(form.strip("+").split(".")[0]) if hidden else f"{value(figures):{form}}")
    return f"{name[-28:]:28} {count:>4} {who} {' '.join(cells)}".rstrip()


def harm(model: Row) -> str:
    """What a model does to clean pictures."""
    told = model["no_harm"]
    return (
        f"    {model['model']} on clean pictures ({told['pictures']}): {told['psnr_y']:.2f} dB, "
        f"worst {told['worst']} ({told['worst_psnr_y']:.2f} dB)"
    )


def as_csv(rows: Sequence[Row]) -> str:
    """A line for each case and each of rainy, the models, mean and deviation of seeds; inf for equal
    pictures, empty for no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for row in rows:
        names = ["rainy", *(model["model"] for model in (*models_of(row), *seeds_of(row)))]
        for picture in row["pictures"]:
            case = [
                row["set"],
                picture["name"],
                picture["kind"],
                picture["frames"],
                cell(picture["rain_share"]),
            ]
            lines = [as_rainy(picture), *models_of(picture), *seeds_of(picture)]
            for name, figures in zip(names, lines, strict=True):
                writer.writerow([*case, name, *(cell(value(figures)) for _, value in COLUMNS)])
    return text.getvalue()


def cell(value: float) -> str:
    """Six places; "" for nan."""
    return "" if np.isnan(value) else f"{value:.6f}"
