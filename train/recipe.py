"""A training recipe: one TOML file that names all a run depends on, or what it changes of another one."""

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from sys import float_info
from typing import Any, Literal, TypeAlias

from derain.engines.errors import UsageError
from derain.train.degradations.mixture import NEEDED, RAIN
from derain.train.fields import build, check, ranged

Table: TypeAlias = dict[str, Any]
MANY = 4096
"""More patches, or pixels a side, than any machine takes at once."""
MOST_FRAMES = 64
"""Of a clip: beyond, memory ends before training pays."""
BELOW_1 = 0.999999
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""Of a recipe: a folder is called by it."""
NAMED = ("block",)
"""Of [network] size, what is a name; all else is numbers."""


@dataclass(frozen=True)
class NetworkRecipe:
    """`name` of a registered network, the factor `width` on its channels, and `size` arguments of its own."""

    name: str
    size: dict[str, Any] = field(default_factory=dict)
    width: float = ranged(0.01, 16, 1.0)


@dataclass(frozen=True)
class DataRecipe:
    """What patches are cut of, and the rain on them.

    `photos`: folders of clean pictures, relative to the data folder. Every `hold_out`-th picture is kept
    from training. `shares`: of streaks, drops, joint and dry patches, and, where named, of dirt, snow and
    scratches, summing to 1. `terms`: of use. `pairs`: folders of paired sets, relative to the data folder
    too; `pairs_share` of the patches are then theirs and the others come of photos. `splits`: only those of a
    set in Qian's layout, joined. `pairs_rain`: what falls in the pairs, for losses that tell kinds apart.
    `more_drops`: the chance of drops added to a pair's patch. `scales`: by how much a picture may be shrunk
    or enlarged. `flips`: half of the patches are mirrored. `chosen`: only patches with detail in the picture
    and rain to be seen on it, as Eigen 2013 (section 5.2) chose them. `frames`: above 1 a sample is a clip of
    so many, of a camera that moves over a photo, or, `clips_share` of them, cut of `clips`: clean videos
    relative to the data folder.
    """

    photos: tuple[str, ...] = ()
    shares: dict[str, float] = field(default_factory=dict)
    hold_out: int = ranged(2, default=20)
    terms: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    pairs_share: float = ranged(0, 1, 0.5)
    splits: tuple[str, ...] = ()
    pairs_rain: Literal["drops", "streaks", "joint"] = "joint"
    more_drops: float = ranged(0, 1, 0.0)
    scales: tuple[float, float] = ranged(0.05, 20, (0.6, 1.8))
    flips: bool = True
    chosen: bool = False
    frames: int = ranged(1, MOST_FRAMES, 1)
    clips: tuple[str, ...] = ()
    clips_share: float = ranged(0, 1, 0.3)


@dataclass(frozen=True)
class Stage:
    """From step `begin` on, batches of `batch` patches of `patch` pixels. `weights`: of terms of the loss, in
    place of those that [loss] has, until the next stage."""

    begin: int = ranged(1)
    batch: int = ranged(1, MANY)
    patch: int = ranged(16, MANY)
    weights: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimiserRecipe:
    """`steps` of `batch` patches of `patch` pixels, each gathered from `accumulate` batches. `stages`: what
    they are later on, so that a run begins with many small patches and ends with large ones.

    `optimiser`: "adamw", "adam" or "sgd" with the learning rate `rate`. `schedule`: "cosine" to zero,
    "constant", "milestones" (divided by 10 after each of `milestones`, in steps) or "inverse" (divided by
    1 + `decay` t); after `warmup` steps, linear. `ema`: decay of the averaged weights, 0 for none. `clip`: of
    the gradient's norm, 0 for none. `precision`: "fp32" or "bf16". `channels_last`: how tensors lie in
    memory. `quantised`: a trained network goes on under INT8's rounding.
    """

    steps: int = ranged(0)
    batch: int = ranged(1, MANY)
    patch: int = ranged(16, MANY)
    rate: float = ranged(0)
    weight_decay: float = ranged(0, default=1e-4)
    warmup: int = ranged(0, default=200)
    ema: float = ranged(0, BELOW_1, 0.999)
    clip: float = ranged(0, default=1.0)
    precision: Literal["fp32", "bf16"] = "fp32"
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    betas: tuple[float, float] = ranged(0, BELOW_1, (0.9, 0.999))
    schedule: Literal["cosine", "constant", "milestones", "inverse"] = "cosine"
    milestones: tuple[int, ...] = ranged(0, default=())
    decay: float = ranged(0, default=0.0)
    accumulate: int = ranged(1, MANY, 1)
    channels_last: bool = True
    stages: tuple[Stage, ...] = ()
    quantised: bool = False


@dataclass(frozen=True)
class LossRecipe:
    """`name`: an objective of derain.train.objectives. `weights`: of its terms, by its own names. `temporal`:
    of clips, the weight of what changes from frame to frame otherwise than in the clean ones. `distil`: the
    weight of what a teacher restores (--teacher)."""

    name: str = "restoration"
    weights: dict[str, Any] = field(default_factory=dict)
    temporal: float = ranged(0, default=0.0)
    distil: float = ranged(0, default=0.0)


@dataclass(frozen=True)
class DiscriminatorRecipe:
    """How the discriminator trains: Adam's rate and betas, the `real` and `fake` labels it is told, and
    `flips`, the range of the share of pictures that are told the other way round."""

    rate: float = ranged(0, default=2e-4)
    betas: tuple[float, float] = ranged(0, BELOW_1, (0.5, 0.999))
    real: float = ranged(0, 1, 1.0)
    fake: float = ranged(0, 1, 0.0)
    flips: tuple[float, float] = ranged(0, 1, (0.0, 0.0))


@dataclass(frozen=True)
class ValidationRecipe:
    """Every `every` steps, the averaged network's PSNR over `patches` fixed patches: of `pairs` where named,
    folders relative to the data folder, of held-out photos otherwise."""

    every: int = ranged(1, default=500)
    patches: int = ranged(1, MANY, 16)
    pairs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One run. `name`: of its folder and of what it trains. `seed` is of everything random in it. `paper`:
    where the hyper-parameters come from."""

    name: str
    network: NetworkRecipe
    data: DataRecipe
    train: OptimiserRecipe
    loss: LossRecipe = field(default_factory=LossRecipe)
    discriminator: DiscriminatorRecipe = field(default_factory=DiscriminatorRecipe)
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    seed: int = ranged(0, 2**32 - 1, 1)
    licence: str = ""
    removes: tuple[str, ...] = ()
    paper: str = ""


def shipped() -> list[str]:
    """The names of the shipped recipes."""
    return sorted(p.name.removesuffix(".toml") for p in resources.files("derain.train.recipes").iterdir()
                  if p.name.endswith(".toml"))  # fmt: skip


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Reads a recipe: a path, or the name of a shipped one. `changes`: "key=value" each, the key as in
    "train.batch", the value as in TOML. UsageError says what is wrong in it."""
    table, where = read_table(find(name), name), name
    for change in changes:
        table = set_in(table, change)
        where = f"{name} with --set"
    return parse(table, where)


def find(name: str) -> Path:
    """The file of a recipe; UsageError lists the shipped ones."""
    path = Path(name)
    if path.is_file():
        return path
    if name in shipped():
        return shipped_file(name)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a recipe's file in it, or a shipped recipe")
    raise UsageError(f"no recipe {name!r}: it is neither a file nor one of {', '.join(shipped())}")


def shipped_file(name: str) -> Path:
    return Path(str(resources.files("derain.train.recipes") / f"{name}.toml"))


def read_table(path: Path, where: str, over_it: tuple[Path, ...] = ()) -> Table:
    """The table of a recipe over that of its `base`, each checked for itself so that errors name the right
    file, this one as `where`; `over_it`: the recipes that have it for a base."""
    if any(path.samefile(one) for one in over_it):
        chain = " of ".join(str(one) for one in (path, *reversed(over_it)))
        raise UsageError(f"the recipe {path} is its own base: {chain}")
    table = toml_of(path)
    base = table.pop("base", None)
    check(Recipe, table, where)
    if base is None:
        return table
    below = base_of(path, base, where)
    return over(read_table(below, str(below), (*over_it, path)), table)


def toml_of(path: Path) -> Table:
    """The content of a file; UsageError where it can't be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        # Of bytes that are no text, of text that is no TOML, of numbers or nesting without end.
        raise UsageError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"the recipe {path} can't be read: {error.strerror}") from error


def base_of(path: Path, base: object, where: str) -> Path:
    """The file of the base that the recipe in `path` names: one beside it, or a shipped one."""
    if isinstance(base, str):
        for beside in (path.parent / f"{base}.toml", path.parent / base):
            if beside.is_file() and not beside.samefile(path):
                return beside
        if base in shipped():
            return shipped_file(base)
    raise UsageError(
        f"{where} base takes the name of a recipe beside it, or one of {', '.join(shipped())}, not {base!r}"
    )


def over(base: Table, changes: Table) -> Table:
    """`base` with the values of `changes`; [network] size, [loss] weights and shares are taken whole."""
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if nested else value
    return merged


def set_in(table: Table, change: str) -> Table:
    """The table with one "key=value" of the command line."""
    key, equals, text = change.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UsageError(f"--set takes key=value such as train.batch=4, not {change!r}")
    value = value_of(text)
    for name in reversed(names):
        value = {name: value}
    return deep(table, value)


def value_of(text: str) -> Any:
    """A value of the command line: TOML's, or the text as it is where that is none."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text


def deep(base: Table, changes: Table) -> Table:
    """`base` with the values of `changes`, at any depth."""
    return {**base, **{
        key: deep(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in changes.items()
    }}  # fmt: skip


def parse(table: Table, where: str) -> Recipe:
    """A Recipe of a TOML table; `where` names it in errors. What hangs together in it is checked too."""
    recipe = build(Recipe, table, where)
    if not re.fullmatch(NAME, recipe.name):
        raise UsageError(f"{where} name takes letters, digits, . _ and -, not {recipe.name!r}")
    sizes = {key: value for key, value in recipe.network.size.items() if key not in NAMED}
    for key, value in sizes.items():
        if not all(number(one) for one in (value if isinstance(value, list | tuple) else [value])):
            raise UsageError(
                f"{where} [network] size {key} takes a number or a list of numbers, not {value!r}"
            )
    check_data(recipe.data, f"{where} [data]")
    if recipe.loss.temporal and recipe.data.frames == 1:
        raise UsageError(f"{where} [loss] temporal is of clips: [data] frames takes 2 or more then, not 1")
    begins = [stage.begin for stage in recipe.train.stages]
    if begins != sorted(set(begins)):
        raise UsageError(f"{where} [train] stages begin one after another, not at {begins}")
    ranges = (*recipe.data.scales, "[data] scales"), (*recipe.discriminator.flips, "[discriminator] flips")
    for low, high, key in ranges:
        if low > high:
            raise UsageError(f"{where} {key} takes the smaller number first, not {low:g} and {high:g}")
    if recipe.discriminator.fake >= recipe.discriminator.real:
        raise UsageError(f"{where} [discriminator] fake is below real, not {recipe.discriminator.fake:g}")
    return recipe


def number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= float_info.max


def check_data(data: DataRecipe, where: str) -> None:
    """UsageError where there is nothing to train on, or its shares are not of everything."""
    if data.frames > 1:
        check_clips(data, where)
    elif data.clips:
        raise UsageError(f"{where} clips are cut in samples of frames, 2 or more, not {data.frames}")
    elif not data.photos and not data.pairs:
        raise UsageError(f"{where} names neither photos nor pairs to train on")
    if data.pairs and not data.photos and data.pairs_share < 1:
        raise UsageError(f"{where} pairs_share is 1 where there are no photos, not {data.pairs_share}")
    if data.splits and not data.pairs:
        raise UsageError(f"{where} splits are those of pairs, of which it names none")
    known = set(NEEDED) <= data.shares.keys() <= RAIN.keys()
    if (data.photos or data.clips) and not (known and sums_to_one(data.shares)):
        raise UsageError(
            f"{where} shares must give streaks, drops, joint and dry, and may give dirt, snow and "
            f"scratches, none below 0 and summing to 1, not {data.shares}"
        )


def check_clips(data: DataRecipe, where: str) -> None:
    """UsageError where samples of several frames can't be made."""
    if data.pairs:
        raise UsageError(f"{where} pairs are single pictures, of which no {data.frames} frames can be made")
    if not data.photos and not data.clips:
        raise UsageError(f"{where} names neither photos nor clips to train on")
    if not data.photos and data.clips_share < 1:
        raise UsageError(f"{where} clips_share is 1 where there are no photos, not {data.clips_share}")


def sums_to_one(shares: dict[str, float]) -> bool:
    """Whether all are from 0 up and sum to 1."""
    return all(value >= 0 for value in shares.values()) and abs(sum(shares.values()) - 1) <= 1e-6


def to_toml(recipe: Recipe) -> str:
    """The recipe as a file that `load_recipe` reads, whatever base it came from."""
    table = asdict(recipe)
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{key} = {toml_value(value)}" for key, value in plain.items()]
    for section, content in table.items():
        if isinstance(content, dict):
            lines += ["", f"[{section}]", *(f"{key} = {toml_value(value)}" for key, value in content.items())]
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """Texts, numbers, lists and tables as TOML writes them: JSON's way but for tables and one character."""
    if isinstance(value, dict):
        inner = ", ".join(f"{toml_value(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
