"""Paired sets on disk, told from the folder itself: every published layout is a row of LAYOUTS."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from derain.engines.errors import UsageError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
DEEPEST = 6
"""How many folders down a set may lie."""
ALONE = "no twin"
BESIDE = re.compile(r"(rainstreak|rainregion|mask)[-_].*", re.IGNORECASE)
"""Label pictures that some sets keep beside their pairs."""


@dataclass(frozen=True)
class Pair:
    """A rainy picture's file and its clean twin's.

    `name` says split, density or kind where the set has several. `halves`: both are one file, the rainy
    picture its left half and the clean one its right.
    """

    name: str
    rainy: Path
    clean: Path
    halves: bool = False


@dataclass(frozen=True)
class Problem:
    """What is wrong with a pair or picture. `kind`: missing, layout, unreadable, size or misaligned."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class PairedSet:
    """The pairs of one `folder` and what is wrong with its names. `layout`: its row's name, "" for pictures
    in no known layout. `split`: where it lies in the whole, "" for the folder asked for."""

    layout: str
    folder: Path
    split: str
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    used: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Layout:
    """Rainy pictures in the `rainy` folders that there are, clean ones in `clean` ("." is the set's own).

    A picture belongs to the twin whose name without ending has the same groups (`rainy_name`, `clean_name`).
    `many`: several rainy pictures a clean one, the same number each. `kinds`: names say the rainy folder.
    """

    name: str
    shape: str
    rainy: tuple[str, ...]
    clean: str
    rainy_name: str = r"(.+)"
    clean_name: str = r"(.+)"
    many: bool = False
    kinds: bool = False


RAIN100 = r"(?:no)?rain-(.+?)(?:x\d)?"
LAYOUTS: tuple[Layout, ...] = (
    Layout("plain", "rainy/ and clean/", ("rainy",), "clean"),
    Layout("plain", "input/ and target/", ("input",), "target"),
    Layout(
        "JRSRD", "data/N_rain_K and gt/N_clean", ("data",), "gt", r"(.+)_rain_\d+", r"(.+)_clean", many=True
    ),
    Layout("Qian", "data/N_rain and gt/N_clean", ("data",), "gt", r"(.+)_rain", r"(.+)_clean"),
    Layout(
        "Rain1400", "rainy_image/N_K and ground_truth/N", ("rainy_image",), "ground_truth",
        r"(.+)_\d+", many=True,
    ),
    Layout("Rain1400", "rain/N_K and norain/N", ("rain",), "norain", r"(\d+)_\d+", r"(\d+)", many=True),
    Layout(
        "Rain100", "rain/rain-N or rain/X2/norain-Nx2 and norain/norain-N", ("rain", "rain/X2"), "norain",
        RAIN100, r"norain-(.+)",
    ),
    Layout("Rain100", "rainy/rain-N and norain-N", ("rainy",), ".", r"rain-(.+)", r"norain-(.+)"),
    Layout("Rain100", "rain-N and norain-N", (".",), ".", r"rain-(.+)", r"norain-(.+)"),
    Layout("Rain12", "N_in and N_GT", (".",), ".", r"(.+)_in", r"(.+)_GT"),
    Layout("Rain12", "rainy/N and groundtruth/N", ("rainy",), "groundtruth"),
    Layout(
        "RainDS", "raindrop/, rainstreak/ or rainstreak_raindrop/ and gt/",
        ("raindrop", "rainstreak", "rainstreak_raindrop"), "gt",
        r"(pie-)?(?:rd-rain-|rd-|rain-)?(.+)", r"(pie-)?(?:norain-)?(.+)", kinds=True,
    ),
    Layout("SPA-Data", "rain/N and gt/Ngt", ("rain",), "gt", r"(.+)", r"(.+?)(?:gt)?"),
)  # fmt: skip
"""The first that fits a folder is taken. DID-MDN and lists of SPA-Data have readers of their own."""

DENSITY = re.compile(r"Rain_(Heavy|Medium|Light)", re.IGNORECASE)
DID_SHAPE = "Rain_Heavy/, Rain_Medium/ or Rain_Light/ with pictures side by side"
SPA_SHAPE = "a list.txt of rainy and clean paths"


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The pictures directly in `folder`, sorted by name; none where it is no folder."""
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    )


def folders_in(folder: Path) -> tuple[Path, ...]:
    """The folders directly in `folder`, sorted by name, without hidden ones, a Mac's leftovers and links that
    lead back up."""
    found = (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))
    here = folder.resolve()
    return tuple(sorted(p for p in found if not (p.is_symlink() and here.is_relative_to(p.resolve()))))


def inside(folder: Path, name: str) -> Path:
    """The subfolder of that name in whatever case it is written; "." is the folder itself."""
    for part in () if name == "." else name.split("/"):
        match = [p for p in folder.iterdir() if p.name.lower() == part.lower()] if folder.is_dir() else []
        folder = match[0] if match else folder / part
    return folder


def key_of(pattern: str, path: Path) -> str | None:
    """What a picture's name says of its twin, None where it is not of this pattern."""
    match = re.fullmatch(pattern, path.stem, re.IGNORECASE)
    return "".join(group or "" for group in match.groups()) if match else None


def read_folders(layout: Layout, folder: Path) -> PairedSet | None:
    """The set where `folder` is of this layout, None where it is not."""
    places = {place: pictures_in(place) for place in (inside(folder, name) for name in layout.rainy)}
    rainy = {p: found for p, found in places.items() if any(key_of(layout.rainy_name, f) for f in found)}
    clean_place = inside(folder, layout.clean)
    clean = pictures_in(clean_place)
    if not rainy or not any(key_of(layout.clean_name, p) for p in clean):
        return None
    twins, problems = keyed(layout.clean_name, clean, layout.rainy_name if clean_place in rainy else "")
    pairs: list[Pair] = []
    for place, found in rainy.items():
        own, wrong = keyed(layout.rainy_name, found, layout.clean_name if clean_place == place else "")
        made, alone = matched(own, twins, f"{place.name}/" if layout.kinds else "", layout.many)
        pairs += made
        problems += wrong + alone
    taken = {pair.clean for pair in pairs}
    problems += [lonely(paths[0].stem) for paths in twins.values() if not taken & set(paths)]
    used = {p.relative_to(folder).parts[0] for p in (*rainy, clean_place) if p != folder}
    return PairedSet(layout.name, folder, "", in_order(pairs), tuple(unique(problems)), frozenset(used))


def in_order(pairs: list[Pair]) -> tuple[Pair, ...]:
    return tuple(sorted(pairs, key=lambda pair: pair.name))


def unique(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))


def lonely(name: str) -> Problem:
    """A picture whose twin is not there."""
    return Problem(name, "missing", ALONE)


def keyed(pattern: str, paths: Sequence[Path], other: str) -> tuple[dict[str, list[Path]], list[Problem]]:
    """Pictures by what their names say, and those whose names say nothing: neither by `pattern` nor, where
    rainy and clean lie in one folder, by the `other` one's."""
    found: dict[str, list[Path]] = defaultdict(list)
    problems = []
    for path in paths:
        key = key_of(pattern, path)
        if key is not None:
            found[key].append(path)
        elif not BESIDE.fullmatch(path.stem) and not (other and key_of(other, path)):
            problems.append(Problem(path.name, "layout", f"a name that is not of this layout ({pattern})"))
    return found, problems


def matched(
    rainy: dict[str, list[Path]], clean: dict[str, list[Path]], prefix: str, many: bool
) -> tuple[list[Pair], list[Problem]]:
    """The pairs of one rainy folder, and its pictures that have no twin or more than they should."""
    pairs, problems = [], []
    most = max(map(len, rainy.values()))
    for key, paths in rainy.items():
        twins = clean.get(key, [])
        if len(twins) > 1 or (len(paths) > 1 and not many):
            files = ", ".join(p.name for p in (*paths, *twins))
            problems.append(Problem(prefix + key, "layout", f"more than two files: {files}"))
        if not twins:
            problems += [lonely(prefix + path.stem) for path in paths]
        elif len(paths) < most and many:
            text = f"{len(paths)} rainy pictures where others have {most}"
            problems.append(Problem(prefix + key, "missing", text))
        names = [path.stem for path in paths] if many else [key] * len(paths)
        pairs += [Pair(prefix + n, p, twins[0]) for n, p in zip(names, paths, strict=True) if twins]
    return pairs, problems


def read_halves(folder: Path) -> PairedSet | None:
    """DID-MDN: each picture is a pair, rainy left and clean right, in a folder named by its density."""
    place = folder.resolve()
    named = any(DENSITY.fullmatch(part) for part in place.parts[-2:]) or place.name.lower().startswith(
        "did-mdn"
    )
    found = pictures_in(folder) if named else ()
    if not found:
        return None
    return PairedSet("DID-MDN", folder, "", tuple(Pair(p.stem, p, p, halves=True) for p in found), ())


def read_lists(folder: Path) -> PairedSet | None:
    """SPA-Data: lines of a rainy and a clean path, from the list's own folder on, even where they begin
    with a slash. Several lists in a folder make one set, each pair named after its list."""
    lists = {file: lines for file in sorted(folder.glob("*.txt")) if (lines := listed(file))}
    pairs, problems, used = [], [], set()
    for file, lines in lists.items():
        prefix = f"{file.stem}/" if len(lists) > 1 else ""
        for line in lines:
            rainy, clean = (folder / part.lstrip("./") for part in line)
            pairs.append(Pair(prefix + rainy.relative_to(folder).with_suffix("").as_posix(), rainy, clean))
            used |= {p.relative_to(folder).parts[0] for p in (rainy, clean)}
            problems += [
                Problem(str(p), "missing", f"no file, though {file.name} names it")
                for p in (rainy, clean)
                if not p.is_file()
            ]
    if not pairs:
        return None
    return PairedSet("SPA-Data", folder, "", tuple(pairs), tuple(unique(problems)), frozenset(used))


def listed(file: Path) -> list[tuple[str, str]]:
    """The pairs of paths of a list, none where any line of the file is something else."""
    pairs = []
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in filter(str.strip, lines):
            parts = line.split()
            if len(parts) != 2 or not all(part.lower().endswith(ENDINGS) for part in parts):
                return []
            pairs.append((parts[0], parts[1]))
    return pairs


def read_set(folder: Path) -> PairedSet | None:
    """The set whose pictures are `folder`'s own, by the first layout that fits; None where none does."""
    readers: list[Callable[[Path], PairedSet | None]] = [read_lists, read_halves]
    for reader in readers:
        if found := reader(folder):
            return found
    return next((s for layout in LAYOUTS if (s := read_folders(layout, folder))), None)


def walk(folder: Path, split: str, strict: bool, deep: int = 0) -> Iterator[PairedSet]:
    """Every set in `folder` and below. Pictures in no layout come as a set with a problem where `strict`."""
    found = read_set(folder)
    if found:
        yield placed(found, split)
    elif strict and (own := pictures_in(folder)):
        where = split or folder.name
        text = f"{len(own)} pictures in no known layout"
        yield PairedSet("", folder, split, (), (Problem(where, "layout", text),))
    used = found.used if found else frozenset()
    for child in folders_in(folder) if deep < DEEPEST else ():
        if child.name not in used:
            yield from walk(child, f"{split}/{child.name}".lstrip("/"), strict and not found, deep + 1)


def placed(found: PairedSet, split: str) -> PairedSet:
    """The set with names that say where in the whole it lies."""
    prefix = f"{split}/" if split else ""
    pairs = tuple(replace(pair, name=prefix + pair.name) for pair in found.pairs)
    problems = tuple(replace(problem, name=prefix + problem.name) for problem in found.problems)
    return replace(found, split=split, pairs=pairs, problems=problems)


def read_sets(folder: Path) -> tuple[PairedSet, ...]:
    """The sets in `folder` and below it, whatever their layouts.

    Raises UsageError where there is no folder, or no pair in it: with the layouts there are and what it has.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    found = tuple(walk(folder, "", strict=True))
    if not any(one.pairs for one in found):
        raise UsageError(f"{folder} is not a set of pairs: it has {contents(folder)} and needs {expected()}")
    return found


def expected() -> str:
    """All layouts in one line."""
    shapes: dict[str, list[str]] = defaultdict(list)
    for layout in LAYOUTS:
        shapes[layout.name].append(layout.shape)
    shapes["SPA-Data"].append(SPA_SHAPE)
    shapes["DID-MDN"].append(DID_SHAPE)
    return "; ".join(f"{' or '.join(each)} ({name})" for name, each in shapes.items())


def contents(folder: Path, most: int = 6) -> str:
    """What lies in a folder, in few words."""
    parts = [f"{place.name}/ ({len(pictures_in(place))} pictures)" for place in folders_in(folder)]
    if own := pictures_in(folder):
        parts.append(f"{len(own)} pictures ({own[0].name}, ...)")
    endings = Counter(p.suffix or p.name for p in folder.iterdir() if p.is_file() and p not in own)
    parts += [f"{count} {ending} files" for ending, count in endings.items()]
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more or "nothing"
