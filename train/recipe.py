"""A training recipe: one TOML file that names all a run depends on."""

import tomllib
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from derain.engines.errors import UsageError
from derain.train.degradations.mixture import NEEDED, RAIN

T = TypeVar("T")


@dataclass(frozen=True)
class NetworkRecipe:
    """`name` of a registered network and its `size` arguments."""

    name: str
    size: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataRecipe:
    """`photos`: folders of clean pictures, relative to the data folder. Every `hold_out`-th picture is kept
    from training. `shares`: of streaks, drops, joint and dry patches, and, where named, of dirt, snow and
    scratches, summing to 1. `terms`: of use. `pairs`: folders of paired sets, relative to the data folder
    too; `pairs_share` of the patches are then theirs and the others come of photos."""

    photos: tuple[str, ...]
    shares: dict[str, float]
    hold_out: int = 20
    terms: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    pairs_share: float = 0.5


@dataclass(frozen=True)
class OptimiserRecipe:
    """AdamW with a cosine to zero over `steps` of `batch` patches of `patch` pixels, after `warmup` steps.

    `ema`: decay of the averaged weights. `clip`: of the gradient's norm. `precision`: "fp32" or "bf16".
    """

    steps: int
    batch: int
    patch: int
    rate: float
    weight_decay: float = 1e-4
    warmup: int = 200
    ema: float = 0.999
    clip: float = 1.0
    precision: str = "fp32"


@dataclass(frozen=True)
class LossRecipe:
    """`mask_weight`: how much more an error counts under rain. `attention`: weight of the mask's own loss."""

    mask_weight: float = 4.0
    attention: float = 0.02


@dataclass(frozen=True)
class Recipe:
    """One run. `seed` is of everything random in it."""

    name: str
    network: NetworkRecipe
    data: DataRecipe
    train: OptimiserRecipe
    loss: LossRecipe = field(default_factory=LossRecipe)
    seed: int = 1
    licence: str = ""
    removes: tuple[str, ...] = ()


SECTIONS = {"network": NetworkRecipe, "data": DataRecipe, "train": OptimiserRecipe, "loss": LossRecipe}


def load_recipe(name: str) -> Recipe:
    """Reads a recipe: a path, or the name of a shipped one. UsageError says what is wrong in it."""
    path = Path(name)
    if not path.is_file():
        path = Path(str(resources.files("derain.train.recipes") / f"{name}.toml"))
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.toml"))
        raise UsageError(f"no recipe {name!r}: it is neither a file nor one of {', '.join(known)}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    return parse(table, str(path))


def parse(table: dict[str, Any], where: str) -> Recipe:
    """A Recipe of a TOML table; `where` names it in errors."""
    sections: dict[str, Any] = {
        name: build(kind, table.get(name, {}), f"{where} [{name}]") for name, kind in SECTIONS.items()
    }
    recipe = build(Recipe, {**table, **sections}, where)
    shares = recipe.data.shares
    if not set(NEEDED) <= shares.keys() <= RAIN.keys() or not sums_to_one(shares):
        raise UsageError(
            f"{where} [data] shares must give streaks, drops, joint and dry, and may give dirt, snow and "
            f"scratches, none below 0 and summing to 1, not {shares}"
        )
    if not 0 <= recipe.data.pairs_share <= 1:
        raise UsageError(f"{where} [data] pairs_share is from 0 to 1, not {recipe.data.pairs_share}")
    if recipe.train.precision not in ("fp32", "bf16"):
        raise UsageError(f"{where} [train] precision is fp32 or bf16, not {recipe.train.precision!r}")
    return recipe


def sums_to_one(shares: dict[str, Any]) -> bool:
    """Whether all are numbers from 0 up and sum to 1."""
    numbers = [value for value in shares.values() if isinstance(value, int | float) and value >= 0]
    return len(numbers) == len(shares) and abs(sum(numbers) - 1) <= 1e-6


def build(kind: type[T], table: dict[str, Any], where: str) -> T:
    """A dataclass of a TOML table, lists made tuples; unknown and missing keys are named."""
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(table.keys() - names):
        raise UsageError(
            f"{where} has unknown keys {', '.join(unknown)}; it takes {', '.join(sorted(names))}"
        )
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"{where} lacks a key: {error}") from error
