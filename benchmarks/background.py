"""`derain bench background`: how near the background of a rainy still video comes to the truth.

Built as Table 1 of Wang et al. 2019 was: rain that falls over ten photographs, 100 frames each, where the
paper has 25.40 dB for the rainy frames and 51.40 dB for its background. Its rain videos are bought ones; here
presets make the rain, by default of about the same strength.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from derain.benchmarks.machine import machine
from derain.engines.errors import DerainError, UsageError
from derain.engines.quality import psnr
from derain.pipeline.commands.options import number_option, path_option, whole_option
from derain.train.background.measures import agreement
from derain.train.background.ranks import Samples, background, find_ranking, mode, ordered
from derain.train.background.video import FEWEST
from derain.train.commands.options import seed_option
from derain.train.datasets import pictures, read_rgb
from derain.train.degradations.compose import make
from derain.train.degradations.presets import Preset, preset

RATE = 25
"""Frames a second of the made videos."""
PAPER = (25.40, 51.40)
"""PSNR in dB of the rainy frames and of the background in the paper's Table 1."""
PHOTOS = Path("photos", "bsds500")
"""Where in DERAIN_DATA the photographs are looked for."""


def median(frames: Samples) -> Samples:
    """Each pixel's median over time, of the two middle values the darker."""
    middle: Samples = ordered(frames)[(len(frames) - 1) // 2]
    return middle


def by_luma(frames: Samples) -> Samples:
    """The other reading of the paper: ranks by luma, the whole colour from the frame that has the rank."""
    luma = (frames @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
    rank = find_ranking([luma], len(frames)).rank
    chosen = np.argsort(luma, axis=0, kind="stable")[rank]
    picked: Samples = np.take_along_axis(frames, chosen[None, ..., None], axis=0)[0]
    return picked


def ours(frames: Samples) -> Samples:
    """What `derain background` gives."""
    return background(frames)[0]


METHODS: tuple[tuple[str, Callable[[Samples], Samples]], ...] = (
    ("median", median),
    ("mode", mode),
    ("by luma", by_luma),
    ("ours", ours),
)
"""(column, from (N, H, W, 3) uint8 frames to a picture)."""


@dataclass(frozen=True)
class Setup:
    """What videos are made. `size`: (width, height) cut from the middle of each photograph, None for all of
    it. `noise`: standard deviation of the camera's, in grey levels of 255."""

    photos: Path
    rains: tuple[Preset, ...]
    count: int
    frames: int
    size: tuple[int, int] | None
    noise: float
    seed: int


@dataclass(frozen=True)
class Measurement:
    """One video. `rainy`: mean PSNR of its frames in dB (RGB); `psnr`: of each method's picture; infinite
    where it equals the photograph. `agreement`: of halves of the frames, which needs no truth. `percentile`:
    of ours."""

    photo: str
    rain: str
    rainy: float
    psnr: dict[str, float]
    agreement: float
    percentile: float


def measure(setup: Setup, number: int, photo: Path) -> Measurement:
    """Makes the video of a photograph and measures every method on it. Raises DerainError."""
    clean = middle(photo, setup.size)
    rain = setup.rains[number % len(setup.rains)]
    frames = video(clean, rain, setup, number)
    found = {name: psnr(method(frames), clean, 255) for name, method in METHODS}
    rainy = float(np.mean([psnr(frame, clean, 255) for frame in frames]))
    percentile = find_ranking([frames], len(frames)).percentile
    return Measurement(photo.name, rain.name, rainy, found, agreement(frames), percentile)


def middle(photo: Path, size: tuple[int, int] | None) -> Samples:
    """The middle of a photograph, (H, W, 3) uint8. Raises DerainError where it is smaller."""
    picture = read_rgb(photo)
    height, width = picture.shape[:2]
    across, down = size or (width, height)
    if across > width or down > height:
        raise DerainError(f"{photo} has {width}x{height} pixels, fewer than the {across}x{down} of --size")
    left, top = (width - across) // 2, (height - down) // 2
    return picture[top : top + down, left : left + across]


def video(clean: Samples, rain: Preset, setup: Setup, number: int) -> Samples:
    """(N, H, W, 3) uint8 frames of rain over a photograph; the same for the same seed and number."""
    rng = np.random.default_rng([setup.seed, number])
    scene = clean.astype(np.float32) / np.float32(255)
    shot = rain.sample(rng, *clean.shape[:2])
    frames = np.empty((setup.frames, *clean.shape), np.uint8)
    for index in range(setup.frames):
        rainy = make(scene, shot, index / RATE).rainy.image * np.float32(255)
        if setup.noise:
            rainy = rainy + rng.normal(0, setup.noise, clean.shape)
        frames[index] = np.clip(np.round(rainy), 0, 255)
    return frames


def chosen(setup: Setup) -> list[Path]:
    """The photographs, drawn by the seed. Raises UsageError where there are too few."""
    found = pictures(setup.photos)
    if len(found) < setup.count:
        raise UsageError(f"{setup.photos} has {len(found)} pictures, --count asks for {setup.count}")
    drawn = np.random.default_rng(setup.seed).choice(len(found), setup.count, replace=False)
    return [found[index] for index in drawn]


def row(name: str, rain: str, rainy: float, values: Sequence[float], rest: Sequence[float] = ()) -> str:
    """One line of the table."""
    cells = [f"{name[-24:]:<24} {rain:<10}{rainy:>8.2f}", *(f"{decibels(value):>9}" for value in values)]
    return "".join([*cells, *(f"{decibels(value):>11}" for value in rest)])


def decibels(value: float) -> str:
    """A PSNR for people."""
    return "equal" if math.isinf(value) else f"{value:.2f}"


def mean(values: Sequence[float]) -> float:
    """Of those that are finite; infinite where none is."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.inf


def means(measured: Sequence[Measurement]) -> dict[str, Any]:
    """The last line as JSON has it: mean PSNR of the videos that differ, and how many came out equal."""
    columns = {name: [one.psnr[name] for one in measured] for name, _ in METHODS}
    return {
        "rainy": float(np.mean([one.rainy for one in measured])),
        "psnr": {name: mean(values) for name, values in columns.items()},
        "equal": {name: sum(map(math.isinf, values)) for name, values in columns.items()},
    }


def finite(value: Any) -> Any:
    """JSON has no infinity: the PSNR of equal pictures becomes null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value


def write_json(path: Path, setup: Setup, measured: Sequence[Measurement]) -> None:
    """All figures in one object. Raises DerainError."""
    rains = [rain.name for rain in setup.rains]
    told = {
        "machine": machine(),
        "setup": {**vars(setup), "photos": str(setup.photos), "rains": rains},
        "videos": [finite(asdict(one)) for one in measured],
        "mean": finite(means(measured)),
        "paper": {"rainy": PAPER[0], "background": PAPER[1]},
    }
    try:
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error


def size_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """(width, height) of "320x240"."""
    if text is None:
        return None
    across, _, down = text.partition("x")
    if not (across.isdecimal() and down.isdecimal() and 0 < int(across) <= 4096 and 0 < int(down) <= 4096):
        raise UsageError(f"--size takes WIDTHxHEIGHT up to 4096x4096 (320x240), not {text!r}")
    return int(across), int(down)


def photos_option(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Path:
    """The folder named, or that of DERAIN_DATA."""
    if text:
        return Path(text)
    data = os.environ.get("DERAIN_DATA")
    if not data:
        raise UsageError(
            f"name a folder of photographs with --photos, or one that has {PHOTOS} in DERAIN_DATA"
        )
    return Path(data) / PHOTOS


def rain_option(ctx: click.Context, parameter: click.Parameter, names: Sequence[str]) -> tuple[Preset, ...]:
    """The presets named."""
    return tuple(preset(name) for name in names)


@click.command("background")
@click.option(
    "--photos", callback=photos_option, metavar="FOLDER", help="[default: photos/bsds500 in $DERAIN_DATA]"
)
@click.option(
    "--rain",
    "rains",
    multiple=True,
    callback=rain_option,
    default=("rain100l", "rain1400"),
    show_default=True,
    metavar="PRESET",
    help="Repeatable: the videos take them in turns.",
)
@click.option("--count", default="10", show_default=True, callback=whole_option(1, 1000), help="Videos.")
@click.option(
    "--frames", default="100", show_default=True, callback=whole_option(FEWEST, 1000), help="Frames each."
)
@click.option("--size", callback=size_option, metavar="WxH", help="Of the photographs' middle, not all.")
@click.option(
    "--noise",
    default="2",
    show_default=True,
    callback=number_option(0, 50),
    help="Of the camera, a standard deviation in grey levels.",
)
@click.option("--seed", default="7", show_default=True, callback=seed_option)
@click.option(
    "--json", "json_file", callback=path_option, metavar="FILE", help="Also write the figures here."
)
def command(*, json_file: Path | None, **rest: Any) -> None:
    """Backgrounds of made rainy still videos against the photographs: PSNR on RGB in dB.

    "rainy" is the mean of a video's frames; "median" and "mode" each pixel's over time; "by luma" takes the
    colour of the frame whose luma has the rank; "ours" is what derain background gives. "agreement" is what
    it knows without the truth: of backgrounds of disjoint halves of the frames.
    """
    if json_file is not None and not json_file.parent.is_dir():
        raise UsageError(f"there is no folder {json_file.parent} for {json_file.name}; make it first")
    setup = Setup(**rest)
    names = "".join(f"{name:>9}" for name, _ in METHODS)
    click.echo(f"{'photograph':<24} {'rain':<10}{'rainy':>8}{names}{'agreement':>11}{'percentile':>11}")
    measured = []
    for number, photo in enumerate(chosen(setup)):
        one = measure(setup, number, photo)
        click.echo(row(one.photo, one.rain, one.rainy, [*one.psnr.values()], (one.agreement, one.percentile)))
        measured.append(one)
    summed = means(measured)
    click.echo(row(f"mean of {len(measured)}", "", summed["rainy"], [*summed["psnr"].values()]))
    if equal := {name: count for name, count in summed["equal"].items() if count}:
        told = ", ".join(f"{name} in {count}" for name, count in equal.items())
        click.echo(f"equal to the photograph, and not in the mean: {told}")
    click.echo(f"Wang et al. 2019, Table 1: rainy {PAPER[0]:.2f}, background {PAPER[1]:.2f}")
    if json_file is not None:
        write_json(json_file, setup, measured)
