"""Dirt on a window or lens (Eigen 2013, section 3.1): I' = p alpha D + (1 - alpha) I.

The masks are specks, smears, rings of dried drops, fingerprints and a thin film, out of focus as they sit on
the glass; or a real pane, measured by `derain dirt`. Display-referred. Lengths are in pixels.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from derain.engines.errors import DerainError
from derain.train.degradations.camera import disc
from derain.train.degradations.dirt_marks import Colour, Mark, Print, Ring, Smear, Specks, cloud, cover
from derain.train.degradations.pane import Pane, before, digest, read_pane
from derain.train.degradations.rain import Picture, Rainy, compared


@dataclass(frozen=True)
class Captured:
    """A measured pane: its whole `folder`, the `sha256` of its files, and where in it the picture's corner
    lies. It goes on mirrored beyond its borders."""

    folder: str
    sha256: str
    left: int
    top: int


@dataclass(frozen=True)
class Dirt:
    """`p`: the factor of the dirt's light. `defocus`: radius of the lens's circle of confusion for the glass.
    `film`: how much a thin, uneven film hides at most. `seed`: of the specks' places and all shapes."""

    p: Colour
    defocus: float
    film: float
    marks: tuple[Specks | Smear | Ring | Print, ...]
    captured: Captured | None
    seed: int


def sample_p(rng: np.random.Generator) -> Colour:
    """Eigen's p: U(0.9, 1.1) for each colour, times one number of U(0, 1)."""
    red, green, blue = (float(v) for v in rng.uniform(0.9, 1.1, 3) * rng.uniform())
    return red, green, blue


def sample_colour(rng: np.random.Generator) -> Colour:
    """Dust, pollen or mud: grey to brown, dark or light."""
    red = rng.uniform(0.15, 1.0)
    green = red * rng.uniform(0.8, 1.0)
    return red, green, green * rng.uniform(0.7, 1.0)


def sample_specks(rng: np.random.Generator) -> Specks:
    """Draws a layer of grains, from dust to spatter: the larger, the fewer."""
    radius = math.exp(rng.uniform(math.log(0.8), math.log(5.0)))
    return Specks(
        density=math.exp(rng.uniform(math.log(10), math.log(80))) / radius,
        radius=radius,
        variety=rng.uniform(0.1, 0.5),
        alpha=rng.uniform(0.35, 1.0),
        colour=sample_colour(rng),
    )


def sample_smear(rng: np.random.Generator, height: int, width: int) -> Smear:
    """Draws a wiped stroke anywhere."""
    return Smear(
        x=rng.uniform(0, width),
        y=rng.uniform(0, height),
        length=rng.uniform(40, 160),
        width=rng.uniform(8, 40),
        angle=rng.uniform(0, math.pi),
        alpha=rng.uniform(0.05, 0.3),
        colour=sample_colour(rng),
    )


def sample_ring(rng: np.random.Generator, height: int, width: int) -> Ring:
    """Draws a dried drop anywhere."""
    return Ring(
        x=rng.uniform(0, width),
        y=rng.uniform(0, height),
        radius=math.exp(rng.uniform(math.log(4), math.log(25))),
        width=rng.uniform(0.8, 2.5),
        alpha=rng.uniform(0.1, 0.5),
        colour=sample_colour(rng),
    )


def sample_print(rng: np.random.Generator, height: int, width: int) -> Print:
    """Draws a finger's print anywhere."""
    return Print(
        x=rng.uniform(0, width),
        y=rng.uniform(0, height),
        radius=rng.uniform(15, 50),
        period=rng.uniform(3, 7),
        angle=rng.uniform(0, math.pi),
        alpha=rng.uniform(0.05, 0.3),
        colour=sample_colour(rng),
    )


def sample(rng: np.random.Generator, height: int, width: int, pane: Path | None = None) -> Dirt:
    """Draws a dirty pane for a picture of that size; or a part of the measured one in the folder `pane`.

    Raises DerainError where that folder holds none.
    """
    captured = None if pane is None else sample_captured(rng, pane)
    area = height * width / 256**2
    marks: list[Mark] = []
    if captured is None:
        marks += [sample_specks(rng) for _ in range(int(rng.integers(2, 5)))]
        for draw, often in ((sample_smear, 0.6), (sample_ring, 2.0), (sample_print, 0.4)):
            marks += [draw(rng, height, width) for _ in range(min(int(rng.poisson(often * area)), 100))]
    return Dirt(
        p=sample_p(rng),
        defocus=0.0 if captured else rng.uniform(0.5, 3.0),
        film=rng.uniform(0, 0.08) if captured is None and rng.uniform() < 0.5 else 0.0,
        marks=tuple(marks),
        captured=captured,
        seed=int(rng.integers(2**32)),
    )


def sample_captured(rng: np.random.Generator, folder: Path) -> Captured:
    """Draws where in a measured pane the picture lies."""
    height, width = read_pane(folder).alpha.shape
    left, top = int(rng.integers(width)), int(rng.integers(height))
    return Captured(str(folder.resolve()), digest(folder), left, top)


@lru_cache(maxsize=4)
def known_pane(folder: str, sha256: str) -> Pane:
    """The pane in `folder`, whose files must have that sha256. Raises DerainError."""
    found = digest(Path(folder))
    if found != sha256:
        raise DerainError(f"the pane in {folder} is another one: its sha256 is {found}, not {sha256}")
    return read_pane(Path(folder))


def part_of(captured: Captured, height: int, width: int) -> Pane:
    """A measured pane at the picture's size."""
    whole = known_pane(captured.folder, captured.sha256)
    rows = mirrored(captured.top, height, whole.alpha.shape[0])
    columns = mirrored(captured.left, width, whole.alpha.shape[1])
    return Pane(whole.alpha[np.ix_(rows, columns)], whole.added[np.ix_(rows, columns)])


def mirrored(first: int, count: int, size: int) -> npt.NDArray[np.int64]:
    """`count` indices from `first` on, running to and fro in 0..size-1."""
    index = np.arange(first, first + count) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


@lru_cache(maxsize=2)
def pane_of(params: Dirt, height: int, width: int) -> Pane:
    """The pane at the picture's size; drawn once for all frames of a video, so that it is read-only.

    Raises DerainError where a measured one can't be read, or is no longer the same.
    """
    if params.captured is not None:
        pane = part_of(params.captured, height, width)
    else:
        pane = made_up(params, height, width)
    for layer in (pane.alpha, pane.added):
        layer.setflags(write=False)
    return pane


def made_up(params: Dirt, height: int, width: int) -> Pane:
    """The film with all marks on it, one over another, as the lens sees them."""
    rng = np.random.default_rng(params.seed)
    layers = np.zeros((height, width, 4), np.float32)  # what is added in R, G, B, and alpha
    layers[..., 3] = params.film * cloud(rng, height, width, 40)
    layers[..., :3] = 0.5 * layers[..., 3:]
    for mark in params.marks:
        for window, alpha in cover(rng, mark, height, width):
            layers[window] *= 1 - alpha[..., None]
            layers[window] += alpha[..., None] * np.array([*mark.colour, 1], np.float32)
    layers[..., :3] *= (0.7 + 0.3 * cloud(rng, height, width, 12))[..., None]
    blurred = cv2.filter2D(layers, cv2.CV_32F, disc(params.defocus), borderType=cv2.BORDER_REFLECT_101)
    blurred = np.clip(blurred, 0, 1)
    return Pane(np.ascontiguousarray(blurred[..., 3]), np.ascontiguousarray(blurred[..., :3]))


def apply(clean: Picture, params: Dirt, time: float = 0.0) -> Rainy:
    """The dirt over `clean` (H, W, 3) in 0..1; it stays where it is whatever the `time`.

    Raises DerainError where a measured pane can't be read, or is no longer the same.
    """
    del time
    return compared(before(clean, pane_of(params, *clean.shape[:2]), params.p), clean)
