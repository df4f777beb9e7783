"""The project's own held-out pairs: rain by our own code on photos and clips that no recipe trains on.

The same seed and files give the same bytes on every run; `manifest.json` has the sha256 of all. A processor
with other vector instructions may round a few values in a million to the next grey level.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from derain.engines.errors import DerainError, UsageError
from derain.engines.quality import psnr
from derain.pipeline.progress import End, QuietTeller, Teller
from derain.pipeline.runner import Interrupted
from derain.train.datasets import pictures, read_rgb, split
from derain.train.degradations import streaks
from derain.train.degradations.compose import Shot, make
from derain.train.degradations.presets import preset
from derain.train.degradations.rain import Picture
from derain.train.held_out.clips import Clip, read_clip
from derain.train.held_out.manifest import Manifest, SetRecipe, origin, write_manifest
from derain.train.recipe import DataRecipe
from derain.train.synthesis.meter import Meter
from derain.train.synthesis.photos import check_photos
from derain.train.synthesis.plan import SMALLEST, generator, in_words
from derain.train.synthesis.twins import make_folders, to_picture, twins_of, write_twins
from derain.train.whole_folder import check_new, whole_folder

REAL_DROPS = (17.0, 24.0)
"""PSNR in dB that pictures through really wet glass have."""
VISIBLE_STREAKS = (18.0, 32.0)
"""PSNR in dB of the first picture of a clip with streaks: of less rain there is little to measure."""
TRIES = 200

Sample = Callable[[np.random.Generator, int, int], Shot]
Draw = Callable[[np.random.Generator, Picture], Shot]


def fitting(
    rng: np.random.Generator, clean: Picture, what: str, sample: Sample, decibels: tuple[float, float]
) -> Shot:
    """The first shot drawn with which the rainy picture's PSNR lies in a range of dB.

    Raises DerainError where none of TRIES does; `what` is drawn, in words.
    """
    low, high = decibels
    tried: list[float] = []
    for _ in range(TRIES):
        shot = sample(rng, *clean.shape[:2])
        tried.append(psnr(make(clean, shot).rainy.image, clean, 1))
        if low <= tried[-1] <= high:
            return shot
    raise DerainError(
        f"none of {TRIES} draws of {what} has a PSNR of {low:g} to {high:g} dB; "
        f"they have {min(tried):.1f} to {max(tried):.1f} dB"
    )


def any_streaks(rng: np.random.Generator, height: int, width: int) -> Shot:
    """Streaks of any density."""
    return Shot((streaks.sample(rng, height, width),))


def drops(rng: np.random.Generator, clean: Picture) -> Shot:
    """Drops as strong as real ones."""
    return fitting(rng, clean, "drops", preset("raindrops").sample, REAL_DROPS)


def joint(rng: np.random.Generator, clean: Picture) -> Shot:
    """Drops as strong as real ones, then streaks."""
    wet = drops(rng, clean)
    return Shot((*wet.steps, *any_streaks(rng, *clean.shape[:2]).steps))


def seen_streaks(rng: np.random.Generator, clean: Picture) -> Shot:
    """Streaks that are dense enough to be measured on a clip."""
    return fitting(rng, clean, "streaks", any_streaks, VISIBLE_STREAKS)


def as_preset(name: str) -> Draw:
    """Whatever a preset draws."""
    return lambda rng, clean: preset(name).sample(rng, *clean.shape[:2])


@dataclass(frozen=True)
class Kind:
    """One set: its folder's `name`, `how` it is made in words, and what draws the rain of a picture."""

    name: str
    how: str
    draw: Draw


WET = f"raindrops, drawn anew until the input's PSNR is {REAL_DROPS[0]:g} to {REAL_DROPS[1]:g} dB"
SEEN = f"streaks of any style, until it is {VISIBLE_STREAKS[0]:g} to {VISIBLE_STREAKS[1]:g} dB in the first"

STILLS: tuple[Kind, ...] = (
    Kind("drops", WET, drops),
    Kind("streaks", "streaks of any style", lambda rng, clean: any_streaks(rng, *clean.shape[:2])),
    Kind("joint", f"{WET}, then streaks of any style", joint),
    Kind("dirt", "the preset dirt", as_preset("dirt")),
    Kind("night", "the preset night; the clean twin is as dark", as_preset("night")),
    Kind("clean", "nothing: what a network must leave alone", lambda rng, clean: Shot(())),
)
MOVING: tuple[Kind, ...] = (
    Kind("moving-streaks", f"{SEEN} picture, falling", seen_streaks),
    Kind("moving-drops", f"{WET} in the first picture", drops),
    Kind("moving-joint", f"{WET} in the first picture, then streaks of any style, falling", joint),
)


@dataclass(frozen=True)
class BenchmarkJob:
    """`folder` to make of clean `photos` and up to three clean `clips`; a `seed` for all."""

    folder: Path
    photos: tuple[Path, ...]
    clips: tuple[Path, ...] = ()
    seed: int = 7


def held_out(recipe: DataRecipe, data: Path) -> tuple[Path, ...]:
    """The photographs that the recipe keeps from training."""
    return tuple(p for folder in recipe.photos for p in split(pictures(data / folder), recipe.hold_out)[1])


def build(job: BenchmarkJob, teller: Teller | None = None) -> Manifest:
    """Makes `job.folder` with STILLS of the photos, MOVING of the clips, and the manifest.

    Each set has rainy, clean and mask inside, PNGs of 8 bits. Raises UsageError before any work where the job
    can't be done, DerainError where it fails, Interrupted on Ctrl-C; the folder is not there then.
    """
    with QuietTeller() if teller is None else teller as told:
        check_new(job.folder)
        check_job(job)
        clips = [read_clip(path) for path in job.clips]
        assigned = [(kind, n % len(clips)) for n, kind in enumerate(MOVING)] if clips else []
        frames = sum(len(clips[n].pictures) for _, n in assigned)
        meter = Meter(len(STILLS) * len(job.photos) + frames, told)
        try:
            with whole_folder(job.folder) as folder:
                sets = [stills(folder, kind, job, meter) for kind in STILLS]
                sets += [moving(folder, kind, job, n, clips[n], meter) for kind, n in assigned]
                photos, videos = (tuple(map(origin, paths)) for paths in (job.photos, job.clips))
                manifest = write_manifest(folder, job.seed, photos, videos, tuple(sets))
        except KeyboardInterrupt:
            raise Interrupted((), meter.report()) from None
        told.end(End("done", 0, in_a_line(job.folder, manifest), (job.folder,), meter.report()))
    return manifest


def check_job(job: BenchmarkJob) -> None:
    """Raises UsageError for photos that can't be used or have one name, and for too many clips."""
    if not job.photos:
        raise UsageError("a benchmark set needs photos; name a folder of them with --photos")
    if len(job.clips) > len(MOVING):
        raise UsageError(
            f"there are {len(MOVING)} moving sets, so {len(MOVING)} clips at most, not {len(job.clips)}"
        )
    named: dict[str, list[Path]] = defaultdict(list)
    for path in job.photos:
        named[path.stem.casefold()].append(path)
    if clashes := [path for paths in named.values() if len(paths) > 1 for path in paths]:
        raise UsageError(f"{in_words(clashes)} would give pairs of the same name; rename some of them")
    check_photos(job.photos, SMALLEST)


def stills(folder: Path, kind: Kind, job: BenchmarkJob, meter: Meter) -> SetRecipe:
    """One set of photos, each with its own generator, so that no picture hangs on the others."""
    make_folders(folder / kind.name)
    for path in job.photos:
        rng = generator(job.seed, f"{kind.name}/{path.name}", 0)
        clean = to_picture(read_rgb(path))
        with meter.stage("rain"):
            shot = drawn(kind, rng, clean, path)
        rain_on(folder / kind.name, path.stem, clean, shot, 0.0, meter)
    return SetRecipe(kind.name, kind.how, tuple(path.name for path in job.photos), len(job.photos))


def moving(folder: Path, kind: Kind, job: BenchmarkJob, number: int, clip: Clip, meter: Meter) -> SetRecipe:
    """One clip with one rain that goes on through it; its pictures are numbered from 1."""
    make_folders(folder / kind.name)
    path = job.clips[number]
    pictures = [to_picture(pixels) for pixels in clip.pictures]
    with meter.stage("rain"):
        shot = drawn(kind, generator(job.seed, f"{kind.name}/{path.name}", 0), pictures[0], path)
    for index, (clean, time) in enumerate(zip(pictures, clip.times, strict=True), 1):
        rain_on(folder / kind.name, f"{index:05}", clean, shot, time, meter)
    return SetRecipe(kind.name, kind.how, (path.name,), len(pictures), clip.times)


def drawn(kind: Kind, rng: np.random.Generator, clean: Picture, path: Path) -> Shot:
    """The rain for a photo or clip. Raises DerainError that names it where none fits."""
    try:
        return kind.draw(rng, clean)
    except DerainError as error:
        raise DerainError(f"{path}: {error}; leave it out, or take another seed") from error


def rain_on(folder: Path, name: str, clean: Picture, shot: Shot, time: float, meter: Meter) -> None:
    """Writes the twins of one picture at a time in seconds."""
    with meter.stage("rain"):
        made = make(clean, shot, time)
    with meter.stage("encode"):
        write_twins(folder, name, twins_of(made, made.rainy.mask))
    meter.made()


def in_a_line(folder: Path, manifest: Manifest) -> str:
    """What there is now."""
    sets = ", ".join(f"{one.pictures} {one.name}" for one in manifest.sets)
    return f"{folder}: {sets}; sha256 of all {manifest.digest}"
