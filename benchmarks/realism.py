"""`derain bench realism`: is our rain rain to networks that others trained on theirs?

A published network gains decibels on the rain it knows. Where it gains about as much on ours, ours is like
it; rain that its expert does not recognise is not yet rain.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np

from derain.benchmarks.peers import a2net, prenet
from derain.benchmarks.peers.critic import RGB, Critic
from derain.engines.errors import DerainError, UsageError
from derain.engines.quality import luma, psnr
from derain.train.commands.options import optional_data
from derain.train.datasets import pictures, read_pair, read_pairs, read_rgb
from derain.train.degradations.compose import make
from derain.train.degradations.presets import PRESETS, Preset

PANELS: tuple[Callable[[Path], Sequence[Critic]], ...] = (prenet.critics, a2net.critics)
"""Critics by the folder of all peers; those of a panel are asked about every rain that one of them knows."""

PUBLISHED = (("rain100L", "rain100l"), ("rain100H-train-sample", "rain100h"))
"""Folders of published pairs, looked for in DATA/pairs, and the preset that should be like them."""

DRY = 50.0
"""Pictures of more dB than this hardly got wet, and are not judged."""

Twins: TypeAlias = tuple[RGB, RGB]
"""A rainy picture and its clean twin, both (H, W, 3) uint8."""


@dataclass(frozen=True)
class Verdict:
    """What a critic says of a rain: `input` and `gain` are means of PSNR on Y in dB over `pictures` crops,
    `least` and `most` the gains at the ends. `expert`: it was trained on such rain; `published`: the rain
    is others'."""

    rain: str
    critic: str
    expert: bool
    published: bool
    pictures: int
    input: float
    gain: float
    least: float
    most: float


def heard(critic: Critic, rain: str, like: str, crops: Sequence[Twins]) -> Verdict:
    """The critic's verdict on those `crops` of `rain` that got wet; it is `like` a preset. DerainError:
    none did."""
    lumas = [(rainy, luma(rainy), luma(clean)) for rainy, clean in crops]
    wet = [(rainy, psnr(y, clean, 255), clean) for rainy, y, clean in lumas if psnr(y, clean, 255) < DRY]
    if not wet:
        raise DerainError(f"hardly any {rain} fell on {len(crops)} pictures; give a higher --count or --size")
    before = [found for _, found, _ in wet]
    gains = [psnr(luma(critic.restore(rainy)), clean, 255) - found for rainy, found, clean in wet]
    return Verdict(
        rain=rain,
        critic=critic.name,
        expert=like in critic.judges,
        published=rain != like,
        pictures=len(gains),
        input=float(np.mean(before)),
        gain=float(np.mean(gains)),
        least=min(gains),
        most=max(gains),
    )


def middle(picture: RGB, size: int) -> RGB:
    """The middle of a picture, at most `size` pixels wide and high."""
    height, width = picture.shape[:2]
    top, left = max(0, height - size) // 2, max(0, width - size) // 2
    return np.ascontiguousarray(picture[top : top + size, left : left + size])


def rained(rain: Preset, photos: Sequence[Path], seed: int, size: int) -> list[Twins]:
    """Middles of whole photos under a preset's rain; the same for the same seed and photos."""
    crops = []
    for index, path in enumerate(photos):
        clean = read_rgb(path)
        shot = rain.sample(np.random.default_rng([seed, index]), *clean.shape[:2])
        made = make(clean.astype(np.float32) / np.float32(255), shot)
        twins = ((picture * 255).round().astype(np.uint8) for picture in (made.rainy.image, made.clean))
        crops.append((middle(next(twins), size), middle(next(twins), size)))
    return crops


def published(folder: Path, count: int, size: int) -> list[Twins]:
    """Middles of `count` published pairs, evenly through the set."""
    pairs = read_pairs(folder)
    chosen = pairs[:: max(1, len(pairs) // count)][:count]
    return [(middle(rainy, size), middle(clean, size)) for rainy, clean in map(read_pair, chosen)]


def verdicts(
    panels: Sequence[Sequence[Critic]],
    photos: Sequence[Path],
    pairs: Sequence[tuple[Path, str]],
    seed: int,
    size: int,
) -> Iterator[Verdict]:
    """Every panel on every rain that one of its critics knows: published pairs first, then the presets."""
    for panel in panels:
        known = {name for critic in panel for name in critic.judges}
        for folder, like in pairs:
            if like in known:
                crops = published(folder, len(photos), size)
                yield from (heard(critic, f"pairs/{folder.name}", like, crops) for critic in panel)
        for rain in PRESETS:
            if rain.name in known:
                crops = rained(rain, photos, seed, size)
                yield from (heard(critic, rain.name, rain.name, crops) for critic in panel)


def chosen_photos(folder: Path, count: int, seed: int) -> list[Path]:
    """`count` photos of the folder, drawn by the seed."""
    found = pictures(folder)
    if len(found) < count:
        raise UsageError(f"{folder} has {len(found)} photos; --count takes that or less, not {count}")
    order = np.random.default_rng(seed).permutation(len(found))[:count]
    return [found[index] for index in sorted(order)]


HEADER = f"{'rain':28}{'critic':20}{'n':>4}{'input dB':>10}{'gain dB':>9}{'least':>8}{'most':>8}"


def line(verdict: Verdict) -> str:
    """One row of the table; the expert is marked."""
    name = f"{verdict.critic} *" if verdict.expert else verdict.critic
    return (
        f"{verdict.rain:28}{name:20}{verdict.pictures:>4}{verdict.input:>10.2f}{verdict.gain:>+9.2f}"
        f"{verdict.least:>+8.1f}{verdict.most:>+8.1f}"
    )


@click.command("realism")
@click.option("--data", help="Folder with photos/, pairs/ and peers/.  [default: $DERAIN_DATA]")
@click.option(
    "--photos", type=click.Path(path_type=Path), help="Clean photos.  [default: DATA/photos/bsds500]"
)
@click.option("--peers", type=click.Path(path_type=Path), help="Published weights.  [default: DATA/peers]")
@click.option("--count", default=10, show_default=True, type=click.IntRange(1), help="Photos a rain.")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Of photos and rain.")
@click.option(
    "--size", default=160, show_default=True, type=click.IntRange(32), help="Side of what is judged."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def command(
    data: str | None,
    photos: Path | None,
    peers: Path | None,
    count: int,
    seed: int,
    size: int,
    json_file: Path | None,
) -> None:
    """Ask published networks whether our rain is like the rain they learned.

    A * marks the expert: the critic that was trained on such rain. PSNR is on Y; a gain is that of the
    critic's restored picture over its input. Published pairs, where DATA/pairs has them, say what to
    expect.
    """
    if json_file is not None and not json_file.parent.is_dir():
        raise UsageError(f"there is no folder {json_file.parent} for {json_file.name}; make it first")
    folder = optional_data(data)
    found = chosen_photos(photos or inside(folder, "--photos", "photos/bsds500"), count, seed)
    weights = peers or inside(folder, "--peers", "peers")
    panels = [critics(weights) for critics in PANELS]
    click.echo(HEADER)
    results = []
    for verdict in verdicts(panels, found, pairs_of(folder), seed, size):
        results.append(verdict)
        click.echo(line(verdict))
    if json_file is not None:
        write_json(json_file, {"seed": seed, "size": size, "verdicts": [asdict(one) for one in results]})


def inside(folder: Path | None, option: str, name: str) -> Path:
    """`name` in the data folder, where `option` was not given; UsageError where no folder was named."""
    if folder is None:
        raise UsageError(f"name a folder with {option}, or one with {name} inside by --data or DERAIN_DATA")
    return folder / name


def pairs_of(folder: Path | None) -> list[tuple[Path, str]]:
    """The published pairs that a data folder has, with the preset that should be like them."""
    if folder is None:
        return []
    named = [(folder / "pairs" / name, like) for name, like in PUBLISHED]
    return [(path, like) for path, like in named if path.is_dir()]


def write_json(path: Path, figures: dict[str, object]) -> None:
    """Raises DerainError where the file can't be written."""
    try:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error
