"""`derain dirt WITHOUT WITH OUTPUT`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from derain.engines.errors import UsageError
from derain.pipeline.commands.options import path_option
from derain.pipeline.images import read_image
from derain.train.datasets import pictures
from derain.train.degradations.dirt_estimate import Estimate, estimate
from derain.train.degradations.masks import EIGEN_ALPHA
from derain.train.degradations.pane import digest, write_pane
from derain.train.degradations.rain import Picture
from derain.train.whole_folder import check_new, sha256_of, whole_folder

MOST_RESIDUAL = 5.0
"""Of 255; a fit that leaves more is none: something moved, or the camera chose another exposure."""


@click.command(name="dirt")
@click.argument("without", callback=path_option)
@click.argument("with_pane", metavar="WITH", callback=path_option)
@click.argument("output", callback=path_option)
def command(without: Path, with_pane: Path, output: Path) -> None:
    """Measure a dirty pane from pictures of the same backgrounds WITHOUT and WITH it, matched by name.

    Put the camera on a stand with fixed focus, exposure and white balance, and show it two or more
    backgrounds that differ everywhere: black, white and a few colours on a screen. OUTPUT is a new folder
    with alpha.png (how much the dirt hides), alphaD.png (the light it adds) and dirt.json.
    """
    check_new(output)
    pairs = matched(without, with_pane)
    found = estimate(read(pairs))
    with whole_folder(output) as folder:
        write_pane(folder, found.pane)
        (folder / "dirt.json").write_text(json.dumps(record(found, pairs, digest(folder)), indent=1) + "\n")
    tell(found, output)


def matched(without: Path, with_pane: Path) -> list[tuple[Path, Path]]:
    """Pictures of both folders by name without ending. UsageError names those that have no twin or several,
    and tells where there are fewer than two."""
    clean, dirty = by_stem(without), by_stem(with_pane)
    if alone := sorted(clean.keys() ^ dirty.keys()):
        raise UsageError(
            f"{len(alone)} of the pictures are in one of {without} and {with_pane} only: {', '.join(alone)}"
        )
    if len(clean) < 2:
        raise UsageError(f"{without} has 1 picture; a pane is measured over two backgrounds or more")
    return [(clean[name], dirty[name]) for name in sorted(clean)]


def by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by name without ending; UsageError where two share it."""
    found: dict[str, Path] = {}
    for path in pictures(folder):
        if path.stem in found:
            raise UsageError(
                f"{folder} has {found[path.stem].name} and {path.name}; which is the background?"
            )
        found[path.stem] = path
    return found


def read(pairs: Sequence[tuple[Path, Path]]) -> Iterator[tuple[Picture, Picture]]:
    """Each pair's pictures. Raises UsageError or DerainError that names a file that is no picture, or whose
    size is not that of the first."""
    first = None
    for pair in pairs:
        clean, dirty = (read_picture(path) for path in pair)
        for path, picture in zip(pair, (clean, dirty), strict=True):
            first = first or (path, picture.shape)
            if picture.shape != first[1]:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (picture.shape, first[1])]
                raise UsageError(
                    f"{path} has {sizes[0]} pixels and {first[0]} has {sizes[1]}; they must be the same"
                )
        yield clean, dirty


def read_picture(path: Path) -> Picture:
    """(H, W, 3) in 0..1 of a picture of 8 or 16 bits, grey or in colour."""
    pixels = read_image(path).pixels
    colour = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
    return np.asarray(colour, np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def record(found: Estimate, pairs: Sequence[tuple[Path, Path]], sha256: str) -> dict[str, object]:
    """dirt.json: of what, how well, and the sha256 that dirt.Captured names."""
    height, width = found.pane.alpha.shape
    return {
        "width": width,
        "height": height,
        "backgrounds": [[{"name": p.name, "sha256": sha256_of(p)} for p in pair] for pair in pairs],
        "residual": rms(found),
        "spread": found.spread,
        "sha256": sha256,
    }


def rms(found: Estimate) -> float:
    """What the fit leaves over the whole pane, in 0..1."""
    return float(np.sqrt(np.mean(np.square(found.residual, dtype=np.float64))))


def tell(found: Estimate, output: Path) -> None:
    """One line of figures, and a warning where the model does not fit."""
    share, left = float((found.pane.alpha >= EIGEN_ALPHA).mean()), 255 * rms(found)
    click.echo(
        f"{output}: {found.backgrounds} backgrounds, dirt (alpha of {EIGEN_ALPHA} and more) on {share:.1%} "
        f"of the pixels, the fit leaves {left:.2f} of 255"
    )
    if left > MOST_RESIDUAL:
        click.echo(
            f"derain: the fit leaves {left:.1f} of 255; did camera, background or exposure change between "
            "the pictures without and with the pane?",
            err=True,
        )
