"""`derain bench drops`: our drops measured as real ones were, and drawn beside them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt

from derain.benchmarks.drop_statistics import DropStatistics, measure
from derain.engines.errors import DerainError, UsageError
from derain.engines.quality import psnr
from derain.pipeline.commands.options import path_option, whole_option
from derain.train.commands.options import optional_data, seed_option
from derain.train.datasets import RGB, pictures, read_pair, read_pairs, read_rgb
from derain.train.degradations import raindrops
from derain.train.degradations.compose import make
from derain.train.degradations.drop_params import Wiper
from derain.train.degradations.drop_styles import draw, style_of
from derain.train.degradations.presets import preset
from derain.train.degradations.rain import Picture

DROPS = ("raindrops", "raindrops-soft")
"""The presets that are measured."""

PUBLISHED = (
    "real pairs, published",
    "29-51",
    "5 / 14 / 37",
    "6 / 42 / 69",
    "0.40 / 0.58 / 0.78",
    "3-20",
    "16-22",
)
"""What was measured on published real pairs of 720x480."""

HEADER = ("drops", "touched %", "radius px", "contrast %", "veil", "edge px", "input dB")
WIDTHS = (24, 12, 17, 17, 22, 13, 10)

CROP = (320, 240)
"""(width, height) of the pictures on a sheet."""
COLUMNS = 3


@dataclass(frozen=True)
class Sample:
    """Rain of one name over several pictures: statistics of each, and the PSNR of each in dB."""

    name: str
    found: tuple[DropStatistics, ...]
    input: tuple[float, ...]


def as_floats(picture: RGB) -> Picture:
    return picture.astype(np.float32) / np.float32(255)


def wet(photo: RGB, rain: str, seed: int, index: int) -> Picture:
    """The photo under a preset's rain."""
    shot = preset(rain).sample(np.random.default_rng([seed, index]), *photo.shape[:2])
    return make(as_floats(photo), shot).rainy.image


def sampled(name: str, twins: Iterator[tuple[Picture, Picture]]) -> Sample:
    """Measures (rainy, clean) pictures."""
    found, errors = [], []
    for rainy, clean in twins:
        found.append(measure(rainy, clean))
        errors.append(psnr(rainy, clean, 1))
    return Sample(name, tuple(found), tuple(errors))


def row(sample: Sample) -> tuple[str, ...]:
    """10th percentile / median / 90th percentile of all drops, the range of the pictures."""
    columns = {
        name: np.concatenate([getattr(one, name) for one in sample.found])
        for name in ("radius", "contrast", "veil", "edge")
    }
    if not len(columns["radius"]):
        raise DerainError(f"there is no drop to measure on the {len(sample.found)} pictures of {sample.name}")
    touched = [100 * one.touched for one in sample.found]
    low, high = np.percentile(sample.input, [10, 90])
    return (
        sample.name,
        "{:.0f}-{:.0f}".format(*np.percentile(touched, [10, 90])),
        "{:.0f} / {:.0f} / {:.0f}".format(*np.percentile(columns["radius"], [10, 50, 90])),
        "{:.0f} / {:.0f} / {:.0f}".format(*np.percentile(100 * columns["contrast"], [10, 50, 90])),
        "{:.2f} / {:.2f} / {:.2f}".format(*np.percentile(columns["veil"], [10, 50, 90])),
        "{:.0f}-{:.0f}".format(*np.percentile(columns["edge"], [10, 90])),
        f"{low:.0f}-{high:.0f}",
    )


def moving(photo: RGB, seed: int) -> tuple[str, list[RGB]]:
    """(what is shown, one lens with drops that slide: before the wiper comes, under it, and later)."""
    height, width = photo.shape[:2]
    style = replace(style_of("dense"), sliding=0.1)
    blade = Wiper(2.0, 4.0, 0.8, width / 2, 1.2 * height, 2.0 * height, -math.pi, 0.0, seed % 2**32)
    lens = replace(draw(np.random.default_rng(seed), height, width, style), wiper=blade)
    times = (0.0, 2.4, 5.0)
    images = [raindrops.apply(as_floats(photo), lens, time).image for time in times]
    name = "one lens after {:.1f}, {:.1f} and {:.1f} s".format(*times)
    return name, [(image * 255).round().astype(np.uint8) for image in images]


def line(cells: Sequence[str]) -> str:
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def crop(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The middle of it, CROP large, where need be enlarged to that."""
    scale = max(CROP[0] / picture.shape[1], CROP[1] / picture.shape[0], 1.0)
    if scale > 1:
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale), np.uint8)
    top, left = (picture.shape[0] - CROP[1]) // 2, (picture.shape[1] - CROP[0]) // 2
    return picture[top : top + CROP[1], left : left + CROP[0]]


def strip(name: str, shown: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """One row of a sheet, its name on a dark bar; black where pictures are missing."""
    blank = np.zeros((CROP[1], CROP[0], 3), np.uint8)
    cells = [crop(picture) for picture in shown] + [blank] * (COLUMNS - len(shown))
    band = np.ascontiguousarray(np.hstack(cells))
    band[:26] //= 3
    cv2.putText(band, name, (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return band


def write_sheet(path: Path, rows: Sequence[tuple[str, Sequence[npt.NDArray[np.uint8]]]]) -> None:
    """The rows under each other. Raises DerainError where the file can't be written."""
    sheet = cv2.cvtColor(np.vstack([strip(name, shown) for name, shown in rows]), cv2.COLOR_RGB2BGR)
    done, coded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not done:
        raise DerainError(f"the sheet of {sheet.shape[1]}x{sheet.shape[0]} can't be coded as JPEG")
    try:
        path.write_bytes(coded.tobytes())
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error


def few(paths: Sequence[Path], count: int) -> list[Path]:
    """At most `count`, evenly through them."""
    step = max(1, len(paths) // count)
    return list(paths[::step][:count])


@click.command("drops")
@click.option("--data", help="Folder with photos/.  [default: $DERAIN_DATA]")
@click.option("--photos", callback=path_option, help="Clean photos.  [default: DATA/photos/camvid]")
@click.option(
    "--count", default="12", show_default=True, callback=whole_option(1, 1000), help="Photos a preset."
)
@click.option("--seed", default="7", show_default=True, callback=seed_option, help="Of the rain.")
@click.option("--pairs", callback=path_option, help="Real pairs of your own, measured in the same way.")
@click.option("--sheet", callback=path_option, help="Also draw the presets here, a JPEG.")
@click.option("--real", callback=path_option, help="Real pictures of your own, first on the sheet.")
def command(
    data: str | None,
    photos: Path | None,
    count: int,
    seed: int,
    pairs: Path | None,
    sheet: Path | None,
    real: Path | None,
) -> None:
    """Measure the drops of the presets as real ones were, and draw them on a sheet.

    Of the pictures, the 10th and 90th percentile; of all drops on them, the 10th, the median and the 90th:
    touched share of the picture, radius of connected areas, share of the background's contrast left inside,
    level of the light over it, and the edge's softness.
    """
    check(sheet, real)
    folder = optional_data(data)
    if photos is None and folder is None:
        raise UsageError("name a folder of clean photos with --photos, or one with photos/camvid by --data")
    found = few(pictures(photos or Path(folder or "") / "photos" / "camvid"), count)
    clean = [read_rgb(path) for path in found]
    click.echo(line(HEADER))
    click.echo(line(PUBLISHED))
    if pairs is not None:
        twins = (read_pair(pair) for pair in read_pairs(pairs)[:count])
        click.echo(line(row(sampled(pairs.name, ((as_floats(r), as_floats(c)) for r, c in twins)))))
    rows: list[tuple[str, Sequence[RGB]]] = []
    if real is not None:
        rows.append(("real", [read_rgb(path) for path in few(pictures(real), COLUMNS)]))
    for name in DROPS:
        rainy = [wet(photo, name, seed, index) for index, photo in enumerate(clean)]
        click.echo(line(row(sampled(name, zip(rainy, map(as_floats, clean), strict=True)))))
        rows.append((name, [(one * 255).round().astype(np.uint8) for one in rainy[:COLUMNS]]))
    if sheet is not None:
        write_sheet(sheet, [*rows, moving(clean[0], seed)])


def check(sheet: Path | None, real: Path | None) -> None:
    """Raises UsageError for options that do not go together."""
    if real is not None and sheet is None:
        raise UsageError("--real goes on a sheet; name one with --sheet")
    if sheet is not None and not sheet.parent.is_dir():
        raise UsageError(f"there is no folder {sheet.parent} for {sheet.name}; make it first")
    if sheet is not None and sheet.suffix.lower() not in (".jpg", ".jpeg"):
        raise UsageError(f"--sheet writes a JPEG, NAME.jpg, not {sheet.name}")
