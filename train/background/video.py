"""The clean background of a rainy video of a still scene, from file to picture.

Frames are taken as many as the rain needs (Wang et al. 2019, section 3: 20, 100 or 200 of sparse, normal or
dense rain, then 10, 20 or 50 more at a time), looked at while they come, and kept in a temporary file that is
read in bands, so that memory does not grow with the video. Whether the picture is clean is measured
(`background_measures`) on some rows spread over it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.images import Image, write_image
from derain.pipeline.sinks.publish import Publication
from derain.pipeline.sources.cut import clock
from derain.pipeline.sources.file import FileSource
from derain.train.background.measures import Measures, measure
from derain.train.background.motion import Mask, Region, Shift, Watch, regions
from derain.train.background.ranks import Ranking, Samples, at_rank, find_ranking
from derain.train.background.store import FrameStore

log = logging.getLogger(__name__)

FEWEST = 20
"""Frames that a background takes at least."""
LOOKED_AT = 1 << 16
"""Pixels that the measures look at, about: whole rows, evenly spread."""
ENDINGS = (".png", ".tif", ".tiff")
"""Formats that lose nothing and hold 16 bits."""
NAMED = 5
"""Regions that a refusal names; the others are counted."""
STILL_LEAST = 0.02
"""Share of the picture that must stand still."""


@dataclass(frozen=True)
class Density:
    """How dense rain is: the first `start` frames, then `step` more at a time, to `most`. `wettest`: the
    share of values under rain in the first FEWEST frames up to which "auto" takes it for this."""

    name: str
    start: int
    step: int
    most: int
    wettest: float

    def after(self, frames: int) -> int:
        """How many frames to try after so many."""
        return min(frames + self.step, self.most)


DENSITIES = (
    Density("sparse", 20, 10, 100, 0.06),
    Density("normal", 100, 20, 200, 0.20),
    Density("dense", 200, 50, 300, 1.0),
)


@dataclass(frozen=True)
class BackgroundJob:
    """One video. `density`: a name of DENSITIES or "auto". `frames`: exactly so many, None for as many as it
    takes. `start` in seconds. `mask_moving`: where the scene moves is marked in NAME-mask.png rather than
    refused.
    """

    video: Path
    output: Path
    density: str = "auto"
    frames: int | None = None
    start: Fraction | None = None
    mask_moving: bool = False
    overwrite: bool = False

    @property
    def mask(self) -> Path:
        """Where the mask goes: (H, W) grey, 255 where the background holds, 0 where the scene moves."""
        return self.output.with_name(f"{self.output.stem}-mask.png")


@dataclass(frozen=True)
class Attempt:
    """What was measured with the first `frames` frames. `moving`: (H, W), True where the scene moves."""

    frames: int
    measures: Measures
    moving: Mask


@dataclass(frozen=True)
class Report:
    """A background that was made, from `last`'s frames. `size`: (width, height)."""

    last: Attempt
    density: str
    ranking: Ranking
    size: tuple[int, int]
    regions: tuple[Region, ...]
    files: tuple[Path, ...]

    @property
    def converged(self) -> bool:
        """Whether the measures call it clean."""
        return self.last.measures.clean


class Gathered:
    """The frames so far, turned as they are shown: all in `store`, small in `watch`, some rows at hand."""

    def __init__(self, source: FileSource, store: FrameStore) -> None:
        self._frames = iter(source)
        self._turns = source.info.rotation // 90
        size = (source.info.width, source.info.height)
        self.width, self.height = size[::-1] if self._turns % 2 else size
        self.store, self.watch = store, Watch(self.width, self.height)
        self.rows = slice(None, None, max(1, round(self.width * self.height / LOOKED_AT)))
        self._at_hand: list[Samples] = []
        self.times: list[float | None] = []

    def take(self, upto: int) -> bool:
        """Takes frames until there are `upto`; whether there were any more."""
        before = self.store.count
        for frame in islice(self._frames, max(0, upto - before)):
            pixels = np.rot90(frame.pixels, self._turns)
            self.store.append(pixels)
            self.watch.add(pixels)
            self._at_hand.append(pixels[self.rows].copy())
            self.times.append(frame.time)
        return self.store.count > before

    def look(self, moving: Mask) -> Measures:
        """Measures the rows at hand where the scene stands still."""
        still = ~moving[self.rows]
        return measure(np.stack([rows[still] for rows in self._at_hand]))


def make_background(job: BackgroundJob, tell: Callable[[Attempt], None] = lambda attempt: None) -> Report:
    """Makes the background of a video and writes it; `tell` hears of each attempt.

    Raises UsageError for a video that won't do (too short, unreadable) and an output that can't be written,
    DerainError where the camera or the scene moves.
    """
    outputs = check_outputs(job)
    with FileSource(job.video, job.start) as source, FrameStore() as store:
        gathered = Gathered(source, store)
        gathered.take(job.frames or FEWEST)
        check_enough(job, gathered)
        density = find_density(job, gathered)
        gathered.take(job.frames or density.start)
        last = attempt(job, gathered)
        tell(last)
        while not (last.measures.clean or job.frames) and gathered.take(density.after(last.frames)):
            last = attempt(job, gathered)
            tell(last)
        tell_of_damage(source)
        picture, ranking = whole(store, last.moving)
        write(job, outputs, picture, last.moving)
        size = (gathered.width, gathered.height)
    files = tuple(output.target for output in outputs)
    return Report(last, density.name, ranking, size, regions(last.moving), files)


def check_outputs(job: BackgroundJob) -> tuple[Publication, ...]:
    """The files to be written, all of which can be. Raises UsageError."""
    if job.output.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{job.output} has the ending {job.output.suffix!r}; a background is written without loss: "
            f"{', '.join(ENDINGS)}"
        )
    names = (job.output, job.mask) if job.mask_moving else (job.output,)
    return tuple(Publication(name, (job.video,), job.overwrite) for name in names)


def check_enough(job: BackgroundJob, gathered: Gathered) -> None:
    """Raises UsageError where the video has fewer frames than are needed."""
    count = gathered.store.count
    behind = "" if job.start is None else f" from {clock(job.start)} on"
    if count < FEWEST:
        raise UsageError(f"{job.video} has {counted(count)}{behind}; a background takes {FEWEST} or more")
    if job.frames is not None and count < job.frames:
        raise UsageError(
            f"{job.video} has {counted(count)}{behind}, --frames asks for {job.frames}; say {count} or fewer"
        )


def counted(frames: int) -> str:
    """ "no frames", "1 frame", "2 frames"."""
    return {0: "no frames", 1: "1 frame"}.get(frames, f"{frames} frames")


def find_density(job: BackgroundJob, gathered: Gathered) -> Density:
    """The density asked for, or that of the rain in the frames so far. Raises UsageError."""
    if job.density == "auto":
        share = gathered.look(np.zeros((gathered.height, gathered.width), np.bool_)).rain.share
        return next(density for density in DENSITIES if share <= density.wettest)
    for density in DENSITIES:
        if density.name == job.density:
            return density
    names = ", ".join(density.name for density in DENSITIES)
    raise UsageError(f"no density {job.density!r}; there is auto, {names}")


def attempt(job: BackgroundJob, gathered: Gathered) -> Attempt:
    """Looks at the frames so far. Raises DerainError where camera or scene move too much for the job."""
    shift = gathered.watch.camera()
    if shift is not None:
        raise DerainError(camera_moves(job, shift, gathered.times))
    moving = gathered.watch.moving()
    if moving.any() and not job.mask_moving:
        raise DerainError(scene_moves(job, regions(moving), gathered))
    if np.mean(~moving[gathered.rows]) < STILL_LEAST:
        raise DerainError(
            f"{job.video}: nearly all of the scene moves or changes its light, so nothing is left to make a "
            "background of; take another part with --start and --frames"
        )
    return Attempt(gathered.store.count, gathered.look(moving), moving)


def camera_moves(job: BackgroundJob, shift: Shift, times: list[float | None]) -> str:
    """One sentence."""
    time = times[shift.frame]
    when = f"frame {shift.frame}" if time is None else clock(Fraction(time) + (job.start or 0))
    how = "or the view changes" if shift.pixels is None else f"by up to {shift.pixels:.1f} pixels"
    return (
        f"{job.video}: the camera moves {how}, first seen at {when}, so its pixels have no one background; "
        "take a part where it stands still with --start and --frames, or steady the video first"
    )


def scene_moves(job: BackgroundJob, found: tuple[Region, ...], gathered: Gathered) -> str:
    """One sentence that names the regions."""
    names = [region.name(gathered.width, gathered.height) for region in found[:NAMED]]
    if len(found) > NAMED:
        names.append(f"and {len(found) - NAMED} smaller")
    return (
        f"{job.video}: the scene moves in {len(found)} {'region' if len(found) == 1 else 'regions'}: "
        f"{'; '.join(names)}; leave them out with --mask-moving, or take another part with --start and "
        "--frames"
    )


def tell_of_damage(source: FileSource) -> None:
    """Warns of pictures that were damaged, and of a file that ends early where its end was reached."""
    if source.held:
        log.warning("%s: %s damaged and replaced by the one before", source.path, counted(source.held))
    if source.shortfall:
        log.warning("%s", source.shortfall)


def whole(store: FrameStore, moving: Mask) -> tuple[Samples, Ranking]:
    """The background of all frames, (H, W, 3), band after band, ranked where the scene stands still."""
    still = ~moving
    parts = (band if still[rows].all() else band[:, still[rows]] for rows, band in store.bands())
    ranking = find_ranking(parts, store.count)
    return np.concatenate([at_rank(band, ranking) for _, band in store.bands()]), ranking


def write(job: BackgroundJob, outputs: tuple[Publication, ...], picture: Samples, moving: Mask) -> None:
    """Writes the mask where it is asked for, then the picture, each whole. Raises DerainError."""
    pictures = (picture, np.where(moving, np.uint8(0), np.uint8(255)))
    try:
        for output, pixels in zip(outputs, pictures, strict=False):
            write_image(Image(np.ascontiguousarray(pixels)), output.temporary)
        for output in reversed(outputs):
            output.publish()
    finally:
        for output in outputs:
            output.discard()
