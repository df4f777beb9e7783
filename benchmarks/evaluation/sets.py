"""The cases of a folder: pairs of any layout that the readers know, and clips in rainy/ and clean/."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from derain.benchmarks.evaluation.cases import Case, PictureCase
from derain.benchmarks.evaluation.films import NUMBERED, VIDEOS, ClipCase
from derain.engines.errors import UsageError
from derain.train.datasets import ENDINGS, Pair, read_pairs
from derain.train.held_out.manifest import NAME as MANIFEST
from derain.train.held_out.manifest import SetRecipe, read_manifest
from derain.train.sets.layouts import pictures_in

log = logging.getLogger(__name__)

TWINS = (("rainy", "clean"), ("input", "target"))
MASKS = "mask"
CLIP_FOLDERS = ("rainy", "clean", "input", "target", MASKS)


@dataclass(frozen=True)
class CaseSet:
    """What is measured under one name. `title`: the end of it, as much as tells sets apart."""

    name: str
    cases: tuple[Case, ...]
    title: str = ""


def titled(sets: Sequence[CaseSet]) -> list[CaseSet]:
    """With titles unlike one another. Raises UsageError where a set is named twice."""
    paths = [Path(one.name).resolve() for one in sets]
    if len(set(paths)) < len(paths):
        raise UsageError("a set is named twice; each is measured once")
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        titles = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(titles)) == len(titles):
            break
    return [replace(one, title=title) for one, title in zip(sets, titles, strict=True)]


@dataclass(frozen=True)
class Choice:
    """Which cases are taken: each `every`-th with `match` in its name; `as_clip`: a set's pictures are
    frames of one clip."""

    match: str = ""
    every: int = 1
    as_clip: bool = False


def find_all(folder: Path, choice: Choice) -> list[CaseSet]:
    """The sets of a benchmark set, or the folder as one set. Raises UsageError where there is nothing."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of pairs")
    recipes = benchmark_sets(folder)
    return [find(folder / recipe.name, choice) for recipe in recipes] or [find(folder, choice)]


def find(folder: Path, choice: Choice) -> CaseSet:
    """The folder as one set. Raises UsageError where no case is chosen."""
    cases = find_cases(folder, choice.as_clip or is_moving(folder))
    chosen = [case for case in cases if choice.match in case.name]
    if not chosen:
        raise UsageError(f"no pair whose name contains {choice.match!r} in {folder}")
    return CaseSet(str(folder), tuple(chosen[:: choice.every]))


def find_cases(folder: Path, as_clip: bool) -> list[Case]:
    """All in a folder: stills and clips, or one clip of all its pictures."""
    if as_clip:
        return [whole_clip(folder)]
    clips = find_clips(folder)
    stills = [] if clips and not holds_stills(folder) else find_pictures(folder)
    return [*stills, *clips]


def benchmark_sets(folder: Path) -> tuple[SetRecipe, ...]:
    """What the manifest of `derain benchmark-set` lists, where there is one that can be read."""
    if not (folder / MANIFEST).is_file():
        return ()
    try:
        return read_manifest(folder).sets
    except UsageError as error:
        log.warning("%s; the folder is read as it lies", error)
        return ()


def is_moving(folder: Path) -> bool:
    """Whether a benchmark set's manifest tells the times of this set's pictures."""
    return any(recipe.times for recipe in benchmark_sets(folder.parent) if recipe.name == folder.name)


def whole_clip(folder: Path) -> Case:
    """One clip of all the pictures of a set. Raises UsageError where they don't lie in two folders."""
    for rainy, clean in TWINS:
        if (folder / rainy).is_dir() and (folder / clean).is_dir():
            mask = folder / MASKS
            name = folder.resolve().name
            return ClipCase(name, folder / rainy, folder / clean, mask if mask.is_dir() else None)
    raise UsageError(f"{folder} is not a clip: it needs rainy/ and clean/ with numbered frames")


def named_clip(rainy: Path, clean: Path) -> CaseSet:
    """A set of one clip, of two video files or two folders of frames."""
    for path in (rainy, clean):
        if not path.exists():
            raise UsageError(f"there is no clip {path}; --clip takes a rainy one and its clean twin")
    return CaseSet(str(rainy), (ClipCase(rainy.stem, rainy, clean),))


def find_pictures(folder: Path) -> list[Case]:
    """Pairs of pictures with their masks, where the set has them."""
    return [PictureCase(pair, mask_of(pair)) for pair in read_pairs(folder)]


def mask_of(pair: Pair) -> Path | None:
    """The picture of the rainy one's name in mask/ beside the folder it lies in, None where there is none."""
    for ending in ENDINGS:
        path = pair.rainy.parent.parent / MASKS / f"{pair.rainy.stem}{ending}"
        if path.is_file():
            return path
    return None


def find_clips(folder: Path) -> list[Case]:
    """Clips of `folder` and the sets in it: in rainy/ and clean/ (or input/ and target/), video files or
    folders of numbered frames.

    Raises UsageError that names all without a twin.
    """
    cases: list[Case] = []
    for place in places(folder):
        for rainy, clean in TWINS:
            if not (place / rainy).is_dir() or not (place / clean).is_dir():
                continue
            left, right = films(place / rainy), films(place / clean)
            if alone := sorted(left.keys() ^ right.keys()):
                raise UsageError(f"{len(alone)} clips of {place} have no twin: {', '.join(alone)}")
            masks, inner = films(place / MASKS), place.relative_to(folder)
            for name in sorted(left):
                label = (inner / name).as_posix()
                cases.append(ClipCase(label, left[name], right[name], masks.get(name)))
    return cases


def films(folder: Path) -> dict[str, Path]:
    """By name, the video files and the folders of numbered frames directly in `folder`."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if is_film(path)}


def is_film(path: Path) -> bool:
    if path.is_dir():
        frames = pictures_in(path)
        return bool(frames) and all(NUMBERED.search(p.stem) for p in frames)
    return path.suffix.lower() in VIDEOS


def holds_stills(folder: Path) -> bool:
    """Whether there are pictures that are no frames of a clip."""
    return any(
        pictures_in(place) and not (place.parent.name in CLIP_FOLDERS and is_film(place))
        for place in places(folder)
    )


def places(folder: Path) -> list[Path]:
    """The folder and all below it."""
    return [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]


def check(sets: Sequence[CaseSet]) -> None:
    """Raises UsageError that names every case that can't be measured, with the reason."""
    cases = [case for one in sets for case in one.cases]
    with ThreadPoolExecutor(2) as pool:
        faults = [fault for fault in pool.map(lambda case: case.fault(), cases) if fault]
    if len(faults) == 1:
        raise UsageError(faults[0])
    if faults:
        raise UsageError(f"{len(faults)} pairs can't be measured: {'; '.join(faults)}")
