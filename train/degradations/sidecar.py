"""Side-car files: what was done to a picture or a video, as JSON, from which the same pixels come again.

    {"version": 1, "derain": "0.1.0", "rain": {"preset": "joint", "seed": 7, "variant": 0},
     "source": {"name": "a.jpg", "sha256": "...", "width": 640, "height": 480}, "video": null,
     "mask": {"name": "difference", "definition": "..."}, "pixels": {"rainy": "...", ...},
     "shot": {"steps": [{"kind": "streaks", "params": {...}}, ...]}}

Any frozen dataclass of numbers, strings, booleans, None, tuples and other such dataclasses goes there and
back exactly: floats are written so that they read back bit by bit, infinite ones as "inf" and "-inf".
"""

import dataclasses
import json
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from derain.engines.errors import UsageError
from derain.train.degradations.compose import KINDS, Shot, kind_of

VERSION = 1
"""Of the format; a reader takes no other."""

INFINITE = {"inf": math.inf, "-inf": -math.inf}
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "null"}

T = TypeVar("T")


@dataclass(frozen=True)
class Drawn:
    """The preset the shot was drawn from, the seed, and which of several draws for the same picture it is."""

    preset: str
    seed: int
    variant: int


@dataclass(frozen=True)
class Source:
    """The clean file: its name without folder, sha256 of its bytes, size of its pictures in pixels."""

    name: str
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class Mask:
    """Which mask was written: its `name` for `--mask`, and what it means in words."""

    name: str
    definition: str


@dataclass(frozen=True)
class Fingerprint:
    """sha256 of the pixels (C order, as written, before any encoder) of all pictures of each twin in turn;
    the `mean` of all values of the rainy ones, in 0..255."""

    rainy: str
    clean: str
    mask: str
    mean: float


@dataclass(frozen=True)
class Part:
    """The part of a video: `start` and `duration` in seconds as fractions ("25/2"), None for the open ends;
    `frames` of it, and the `crf` of its encoding, None for the default."""

    start: str | None
    duration: str | None
    frames: int
    crf: float | None


@dataclass(frozen=True, kw_only=True)
class SideCar:
    """One picture or video: where its rain came from, every parameter of it, and what must come again."""

    version: int = VERSION
    derain: str = metadata.version("derain")
    rain: Drawn
    source: Source
    video: Part | None = None
    mask: Mask
    pixels: Fingerprint
    shot: Shot


def write_sidecar(car: SideCar, path: Path) -> None:
    """Writes `car`. Raises TypeError where its shot holds what JSON can't give back exactly."""
    tree = to_json(car, "side-car")
    if from_json(SideCar, tree, "side-car") != car:
        raise TypeError(f"the params of {path.name} do not come back from JSON as they were")
    path.write_text(json.dumps(tree, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> SideCar:
    """Reads a side-car file. Raises UsageError with what is wrong in it, and where."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the side-car {path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the side-car {path} is not JSON: {error}") from error
    if not isinstance(tree, dict) or "version" not in tree:
        raise UsageError(f"{path} is not a side-car of derain synthesize: it tells no version")
    if tree["version"] != VERSION:
        raise UsageError(f"{path} is a side-car of version {tree['version']!r}; derain reads {VERSION}")
    return from_json(SideCar, tree, str(path))


def to_json(value: object, where: str) -> Any:
    """`value` in the terms of JSON; TypeError names the place `where` something else stands."""
    if isinstance(value, Shot):
        steps = [(kind_of(step).name, step) for step in value.steps]
        return {"steps": [{"kind": name, "params": to_json(p, f"{where} {name}")} for name, p in steps]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name), f"{where}.{name}") for name in hints(type(value))}
    if isinstance(value, tuple):
        return [to_json(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, float) and not math.isnan(value):
        return float(value) if math.isfinite(value) else str(float(value))
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{where} is {value!r} ({type(value).__name__}), which a side-car can't hold")


def from_json(kind: type[T], tree: object, where: str) -> T:
    """The value of type `kind` that `to_json` made `tree` of. Raises UsageError, `where` in its sentence."""
    return cast(T, _read(kind, tree, where))


@cache
def hints(kind: type) -> dict[str, Any]:
    """The fields of a dataclass in their order, with their types."""
    types = get_type_hints(kind)
    return {field.name: types[field.name] for field in dataclasses.fields(kind)}


def _read(kind: Any, tree: object, where: str) -> object:
    origin = get_origin(kind)
    if kind is Shot:
        return _shot(tree, where)
    if dataclasses.is_dataclass(kind):
        fields = hints(cast(type, kind))
        table = _table(tree, tuple(fields), where)
        return cast(type, kind)(
            **{name: _read(fields[name], table[name], f"{where}: {name}") for name in fields}
        )
    if origin is tuple:
        return _tuple(get_args(kind), tree, where)
    if origin in (Union, UnionType):
        return _union(get_args(kind), tree, where)
    if origin is Literal:
        return _one_of(get_args(kind), tree, where)
    return _plain(kind, tree, where)


def _table(tree: object, names: tuple[str, ...], where: str) -> dict[str, Any]:
    """`tree` as a table of exactly these keys."""
    if not isinstance(tree, dict):
        raise UsageError(f"{where} takes a table of {', '.join(names)}, not {shown(tree)}")
    if unknown := sorted(tree.keys() - set(names)):
        raise UsageError(f"{where} has unknown keys {', '.join(unknown)}; it takes {', '.join(names)}")
    if missing := [name for name in names if name not in tree]:
        raise UsageError(f"{where} lacks {', '.join(missing)}")
    return tree


def _shot(tree: object, where: str) -> Shot:
    steps = _table(tree, ("steps",), where)["steps"]
    if not isinstance(steps, list):
        raise UsageError(f"{where}: steps takes a list, not {shown(steps)}")
    return Shot(tuple(_step(step, f"{where}: steps[{number}]") for number, step in enumerate(steps)))


def _step(tree: object, where: str) -> object:
    table = _table(tree, ("kind", "params"), where)
    for kind in KINDS:
        if kind.name == table["kind"]:
            return _read(kind.params, table["params"], f"{where} {kind.name}")
    known = ", ".join(kind.name for kind in KINDS)
    raise UsageError(f"{where} is of the unknown kind {shown(table['kind'])}; there is {known}")


def _tuple(kinds: tuple[Any, ...], tree: object, where: str) -> tuple[object, ...]:
    if not isinstance(tree, list):
        raise UsageError(f"{where} takes a list, not {shown(tree)}")
    if kinds[-1:] == (Ellipsis,):
        kinds = kinds[:1] * len(tree)
    if len(kinds) != len(tree):
        raise UsageError(f"{where} takes {len(kinds)} values, not {len(tree)}")
    return tuple(
        _read(kind, item, f"{where}[{n}]") for n, (kind, item) in enumerate(zip(kinds, tree, strict=True))
    )


def _union(kinds: tuple[Any, ...], tree: object, where: str) -> object:
    """Of the first kind that takes it; the last one's complaint where none does."""
    if tree is None and NoneType in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not NoneType)
    for kind in others:
        with suppress(UsageError):
            return _read(kind, tree, where)
    return _read(last, tree, where)


def _one_of(values: tuple[Any, ...], tree: object, where: str) -> object:
    for value in values:
        if type(value) is type(tree) and value == tree:
            return value
    raise UsageError(f"{where} takes {' or '.join(map(repr, values))}, not {shown(tree)}")


def _plain(kind: Any, tree: object, where: str) -> object:
    """A number, text, boolean or None; whole numbers pass for any number, and stay whole."""
    if kind is float and isinstance(tree, str) and tree in INFINITE:
        return INFINITE[tree]
    if kind is float and type(tree) is int:
        return tree
    if type(tree) is not kind:
        raise UsageError(f"{where} takes {NAMES[kind]}, not {shown(tree)}")
    return tree


def shown(tree: object) -> str:
    """A value as its file has it, cut to what a sentence can hold."""
    text = json.dumps(tree)
    return text if len(text) <= 40 else f"{text[:37]}..."
